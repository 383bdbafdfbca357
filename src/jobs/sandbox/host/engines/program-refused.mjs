/** Thrown by a transform for a file that is not valid. */
export class ProgramRefused extends Error {
  /** @param {import("../engine.d.mts").ProgramError} problem */
  constructor(problem) {
    super(problem.message);
    this.problem = problem;
  }
}
