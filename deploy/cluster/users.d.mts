// The type of users.mjs, which is plain JavaScript.

export interface ClusterUser {
  readonly role: "coordinator" | "gateway";
  /** Its name in subjects. */
  readonly id: string;
  /** An nkey of a user, `U…`. */
  readonly publicKey: string;
}

export const clusterName: RegExp;
export function usersConf(users: readonly ClusterUser[]): string;
