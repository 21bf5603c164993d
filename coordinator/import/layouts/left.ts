// What is passed over, by name and with the reason: a bounded list.

/** Most things that are told as passed over; of more, how many there were. */
export const MOST_LEFT = 10_000;

/** What is listed by name: a file passed over, or a sample that cannot be one. */
export interface Left {
  readonly source: string;
  readonly why: string;
}

/** The first of a list, and how many more there are. */
export function boundedLeft(left: readonly Left[]): readonly Left[] {
  if (left.length <= MOST_LEFT) return left;
  return [...left.slice(0, MOST_LEFT), { source: `${left.length - MOST_LEFT} more`, why: "not listed one by one" }];
}
