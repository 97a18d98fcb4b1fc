/** Ends the operation with evidence when something that must always hold does not. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`store invariant broken: ${message}`);
}
