// How a worker knows that its link is the operator's: such a token may be said in the WebSocket's address, since it
// passes no proxy, and is counted by no limit of an address then.

export const OPERATOR_TOKEN_PREFIX = "operator-";

export function isOperatorToken(token: string): boolean {
  return token.startsWith(OPERATOR_TOKEN_PREFIX);
}
