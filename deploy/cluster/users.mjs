// Who may connect to the NATS servers of a run, and what each may say and hear there: pure text, from public keys alone.
// Subjects are those of coordinator/cluster/messages.ts. A gateway speaks under its own name only; of JetStream, where
// lease and head lie, it reads what is there and changes nothing: whoever takes one over can lie about its own
// volunteers, and about nothing else.

/** @typedef {import("./users.d.mts").ClusterUser} ClusterUser */

/** What a name may be: a token of a subject, a file, a pod. */
export const clusterName = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** What a gateway tells the leader, each under its own name. */
const gatewaySays = [
  "join",
  "covered",
  "returned",
  "beat",
  "admit",
  "verdict",
  "unusual",
  "audit",
  "answered",
  "declined",
  "operate",
];
/** What the leader tells one gateway. */
const leaderTells = ["lease", "trim", "need", "drop", "away", "answer", "home"];
/** What all hear from the leader. */
const leaderSays = ["open", "commit", "stable", "status", "trust"];

/** @param {string} id */
function gatewayMay(id) {
  return {
    publish: [
      ...gatewaySays.map((kind) => `bs.*.${kind}.${id}`),
      `bs.*.bulk.${id}.*`,
      `bs.*.ack.${id}.*`,
      // Where another's long bytes are to be had over HTTP.
      `bs.*.door.${id}.*`,
      // Which run it is, asked once.
      "bs.*.about",
      // Whether the run is over, which nobody is left to say.
      "$JS.API.STREAM.MSG.GET.*",
    ],
    subscribe: [
      ...leaderSays.map((kind) => `bs.*.${kind}`),
      ...leaderTells.map((kind) => `bs.*.${kind}.${id}`),
      `bs.*.bulk.*.${id}`,
      `bs.*.ack.*.${id}`,
      `bs.*.door.*.${id}`,
      `_INBOX.${id}.>`,
    ],
    // To whoever asked it, once, and soon.
    answers: true,
  };
}

/** @param {string} id */
function coordinatorMay(id) {
  return {
    publish: ["bs.>", "$JS.API.>", "$JS.ACK.>", "$KV.>", "_INBOX.>"],
    subscribe: ["bs.>", `_INBOX.${id}.>`],
    answers: false,
  };
}

/** @param {readonly string[]} subjects */
const list = (subjects) => `[${subjects.map((subject) => JSON.stringify(subject)).join(", ")}]`;

/** @param {ClusterUser} user */
function userText({ role, id, publicKey }) {
  const { publish, subscribe, answers } = role === "gateway" ? gatewayMay(id) : coordinatorMay(id);
  return `      # ${id}
      {
        nkey: ${publicKey}
        permissions {
          publish { allow: ${list(publish)} }
          subscribe { allow: ${list(subscribe)} }${answers ? '\n          allow_responses { max: 1, expires: "1m" }' : ""}
        }
      }`;
}

/** The part of nats.conf that says who may come. @param {readonly ClusterUser[]} users */
export function usersConf(users) {
  return `# Written by make-keys.mjs: public keys, and what each of them may say and hear.
accounts {
  bitswarm {
    jetstream: enabled
    users: [
${users.map(userText).join("\n")}
    ]
  }
}
`;
}
