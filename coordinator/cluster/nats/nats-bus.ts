// Messages over core NATS.

import { type NatsConnection, RequestError, TimeoutError } from "@nats-io/transport-node";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { Bus } from "../bus.ts";

/** A question to the servers that has no answer for so long has none. */
const FLUSH_TIMEOUT_MS = 5000;

export function natsBus(connection: NatsConnection): Bus {
  return {
    publish: (subject, data) => {
      // What is said while no server is there is late at best: whoever needs it says it again.
      if (!connection.isClosed()) connection.publish(subject, data);
    },
    subscribe: (pattern, take) => {
      const subscription = connection.subscribe(pattern, {
        callback: (error, message) => {
          if (error) return;
          const { subject, data, reply } = message;
          take({ subject, data, ...(reply === undefined ? {} : { reply: (answer) => void message.respond(answer) }) });
        },
      });
      return () => subscription.unsubscribe();
    },
    request: async (subject, data, timeout) => {
      try {
        return (await connection.request(subject, data, { timeout })).data;
      } catch (error) {
        if (!(error instanceof TimeoutError || error instanceof RequestError)) throw error;
        throw new BitswarmError(
          "ENGINE_UNREACHABLE",
          `no answer to ${subject} within ${timeout} ms: it is tried again`,
        );
      }
    },
    flush: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(unanswered(connection)), FLUSH_TIMEOUT_MS);
      });
      await Promise.race([connection.flush(), late]).finally(() => clearTimeout(timer));
    },
    close: () => connection.close(),
  };
}

function unanswered(connection: NatsConnection): BitswarmError {
  const server = connection.getServer();
  return new BitswarmError("ENGINE_UNREACHABLE", `${server} has not answered for ${FLUSH_TIMEOUT_MS / 1000} s`);
}
