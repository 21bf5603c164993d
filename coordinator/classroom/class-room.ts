// The class room's addresses beside the volunteers' page: the slide, how to trust the certificate, and the code that
// stands for the link.

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { type RunTokens, tokenHolder } from "../base/token.ts";
import type { Beside } from "../server/beside.ts";
import { isForPeople } from "../server/notice-page.ts";
import type { Authority } from "../tls/authority.ts";
import { joinPage } from "./join-page.ts";
import { plainDoor } from "./plain-door.ts";
import { qrShape } from "./qr.ts";
import { CODE_PATTERN, isCode, shortCode } from "./short-code.ts";
import { type RoomFiles, roomFile, roomPage, TrustRoom } from "./trust-room.ts";

export interface ClassRoomOptions extends RunTokens {
  readonly files: RoomFiles;
  /** What devices are asked to trust; none where browsers know the certificate, or there is no TLS. */
  readonly authority?: Authority;
  /** What volunteers open, without its token; undefined until the port is there. */
  readonly link: () => URL | undefined;
  readonly status: () => RunStatus;
}

/** What a person types: browsers ask by http where no scheme is given with an address, and are sent on. */
export function shortAddress(link: URL, token: string): string {
  return `${link.host}${link.pathname}${shortCode(token)}`;
}

/**
 * What the QR code holds. A device that does not trust the certificate comes to the page that says how, over http, and
 * one that does goes on from there by itself.
 */
export function scannedAddress(link: URL, token: string, authority: boolean): string {
  return `${authority ? "http:" : link.protocol}//${shortAddress(link, token)}`;
}

type App = { readonly Bindings: HttpBindings };

export interface ClassRoom extends Beside {
  /** Answers who comes without TLS to the port that speaks it. */
  readonly plain: (request: Request) => Response;
}

export function classRoom(options: ClassRoomOptions): ClassRoom {
  const { token, authority, files, link, status } = options;
  const room = authority && new TrustRoom(authority, files);
  const slide = (): Response => {
    const base = link();
    if (!base) return new Response("the port is not open yet\n", { status: 503 });
    const { name, workers } = status();
    return roomPage(
      joinPage({
        name,
        workers,
        shortAddress: shortAddress(base, token),
        qr: qrShape(scannedAddress(base, token, authority !== undefined)),
        ...(authority === undefined ? {} : { fingerprint: authority.fingerprint }),
      }),
    );
  };
  return {
    plain: plainDoor(room),
    routes: ({ wrongToken }) => {
      const app = new Hono<App>();
      /** Counts what was wrong, and says so. */
      const refused = (context: Context<App>): Response | Promise<Response> => {
        try {
          wrongToken(context.env.incoming);
        } catch (error) {
          if (error instanceof BitswarmError) return context.text(`${error.code}: ${error.message}\n`, 429);
          throw error;
        }
        // Whoever mistyped it is told what a code looks like, as of any other address at which nothing is.
        if (isForPeople(context.req.header("accept"))) return context.notFound();
        return context.text("TOKEN_INVALID: this is not the address of the run; look at the board again\n", 403, {
          "cache-control": "no-store",
        });
      };
      app.get(`/:code{${CODE_PATTERN}}`, (context) => {
        if (!isCode(token, context.req.param("code"))) return refused(context);
        // Relative, so that a path that a proxy takes off stays.
        return context.body(null, 302, {
          location: `./?token=${encodeURIComponent(token)}`,
          "cache-control": "no-store",
        });
      });
      app.get("/join", (context) =>
        tokenHolder(options, context.req.query("token")) === undefined ? refused(context) : slide(),
      );
      app.get("/class-room/:name", (context) => roomFile(files, context.req.path) ?? context.notFound());
      if (room) {
        app.get("/trust", (context) => room.page(context.req.raw, {}));
        app.get("/trust/:name", (context) => room.file(context.req.path) ?? context.notFound());
      }
      return app;
    },
  };
}
