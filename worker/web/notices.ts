// What goes wrong, in words for a volunteer: a title, and a text that says what to do.

import type { ErrorCode } from "../../shared/base/errors.ts";

/** With a capital and an end. */
export function sentence(text: string): string {
  const capital = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Title and text of what ended a session or stands in its way. Of what WebGPU lacks the first sentence says it. */
export function words(code: ErrorCode, message: string): { readonly title: string; readonly text: string } {
  if (code !== "WEBGPU_MISSING") return { title: titleOf(code), text: sentence(message) };
  const end = message.indexOf(". ");
  if (end < 0) return { title: "WebGPU cannot be used here", text: sentence(message) };
  return { title: message.slice(0, end), text: message.slice(end + 2) };
}

function titleOf(code: ErrorCode): string {
  switch (code) {
    case "TOKEN_INVALID":
      return "This link is not for the run that is going on";
    case "PROTOCOL_MISMATCH":
      return "This page is of another version than the coordinator";
    case "ORIGIN_REFUSED":
      return "The coordinator does not know this page's address";
    case "DEVICE_LOST":
      return "The GPU keeps being lost";
    case "DATA_MISMATCH":
      return "This machine reads the images otherwise than others";
    case "RUN_UNREACHABLE":
    case "HEARTBEAT_LOST":
      return "The coordinator cannot be reached";
    case "TOO_MANY_WORKERS":
      return "The run has all the workers that it takes";
    default:
      return `Something went wrong (${code})`;
  }
}

/** Of what went wrong in a session that goes on. */
export function troubleTitle(code: ErrorCode): string {
  switch (code) {
    case "DEVICE_LOST":
      return "The GPU was lost: this tab asks for it again";
    case "CONTRIBUTION_DISPUTED":
      return "Other workers got other results";
    case "DATA_MISMATCH":
      return "The images were read otherwise than they are";
    default:
      return "A lease did not count";
  }
}
