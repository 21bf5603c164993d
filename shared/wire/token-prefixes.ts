// How a program knows by a token whose link it was given. An operator's may be said in the WebSocket's address, since
// it passes no proxy, and is counted by no limit of an address then; with the dashboard's nobody works.

export const OPERATOR_TOKEN_PREFIX = "operator-";
export const DASHBOARD_TOKEN_PREFIX = "dashboard-";

export function isOperatorToken(token: string): boolean {
  return token.startsWith(OPERATOR_TOKEN_PREFIX);
}

export function isDashboardToken(token: string): boolean {
  return token.startsWith(DASHBOARD_TOKEN_PREFIX);
}
