// Where the dashboard is, at every node.

/** Below the node's address. */
export const DASHBOARD_PATH = "dashboard";
