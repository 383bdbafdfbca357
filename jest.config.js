/** Jest 30 over TypeScript ESM; SWC strips the types, so `npm run check` is where types are checked. */
export default {
  testEnvironment: "node",
  extensionsToTreatAsEsm: [".ts"],
  moduleNameMapper: { "^(\\.{1,2}/.*)\\.js$": "$1" },
  transform: {
    "^.+\\.ts$": [
      "@swc/jest",
      {
        jsc: { target: "es2022", parser: { syntax: "typescript" } },
        module: { type: "es6" },
        sourceMaps: "inline",
      },
    ],
  },
  testMatch: ["<rootDir>/src/**/*.test.ts", "<rootDir>/test/**/*.test.ts"],
  testTimeout: 30_000,
  // Half of the cores: the tests start real servers, which need the other half. Workers are replaced when they have grown,
  // because ESM modules of a finished file are never freed.
  maxWorkers: "50%",
  workerIdleMemoryLimit: "1GB",
  collectCoverageFrom: ["src/**/*.ts", "!src/**/*.test.ts"],
  coverageProvider: "v8",
};
