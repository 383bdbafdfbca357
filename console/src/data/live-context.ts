import { createContext, useContext } from "react";
import type { LiveProject } from "./live.js";

/** The live side of the project whose page is shown. */
export const LiveContext = createContext<LiveProject>({
  on: () => () => undefined,
  state: "none",
  presence: [],
  error: undefined,
  degraded: undefined,
});

/** The live side of the project at hand. */
export function useLive(): LiveProject {
  return useContext(LiveContext);
}
