/** A mistake in how the program was called; the process exits with 2. */
export class UsageError extends Error {
  override name = "UsageError";
}
