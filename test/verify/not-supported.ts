// What the product does not do yet, told apart from what it does wrongly.

/** What the product does not do yet: the case is counted as that, and neither passes nor fails. */
export class NotSupported extends Error {}
