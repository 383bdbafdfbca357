/** The two people of the demo. */
export const PEOPLE = {
  ada: { email: "ada@demo.localhost", name: "Ada Lovelace" },
  bob: { email: "bob@demo.localhost", name: "Bob Kahn" },
} as const;

/** The project they share. */
export const PROJECT = {
  name: "Weather station",
  description: "A demo: two people, one workspace. Open it in two windows and type.",
};

/** Files of its workspace, by path. */
export const FILES: Readonly<Record<string, string>> = {
  "README.md": `# Weather station

Open \`src/main.js\`, press **Run**, and watch the output come.

Then open this page in a second window (a private one, with Bob's link) and type in both:
each sees the other's cursor, and every keystroke is kept as soon as it says Saved.

- \`src/main.js\` reads \`data/readings.csv\` and prints a forecast, a line at a time
- \`src/forecast.js\` is what it imports
- \`notes/ideas.md\` is for both of you
`,
  "src/main.js": `import { readFileSync } from "node:fs";
import { forecast, mean } from "./forecast.js";

const [, ...lines] = readFileSync("data/readings.csv", "utf8").trim().split("\\n");
const readings = lines.map((line) => {
  const [day, celsius, millimetres] = line.split(",");
  return { day, celsius: Number(celsius), millimetres: Number(millimetres) };
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

for (const { day, celsius, millimetres } of readings) {
  const bar = "▇".repeat(Math.round(celsius / 2));
  console.log(\`\${day}  \${bar.padEnd(14)} \${celsius.toFixed(1)} °C  \${millimetres} mm\`);
  await pause(300);
}

console.log(\`\\nMean: \${mean(readings.map(({ celsius }) => celsius)).toFixed(1)} °C\`);
console.log(\`Tomorrow: \${forecast(readings)}\`);
`,
  "src/forecast.js": `/** The mean of some numbers. */
export function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Says what tomorrow may be like, from the last three days. */
export function forecast(readings) {
  const last = readings.slice(-3);
  const wet = last.filter(({ millimetres }) => millimetres > 1).length;
  const trend = last.at(-1).celsius - last[0].celsius;
  const warmth = trend > 1 ? "warmer" : trend < -1 ? "colder" : "much the same";
  return wet >= 2 ? \`\${warmth}, take an umbrella\` : \`\${warmth}, and dry\`;
}
`,
  "data/readings.csv": `day,celsius,millimetres
Mon,14.2,0
Tue,15.8,0.2
Wed,17.1,0
Thu,19.4,0
Fri,18.0,2.4
Sat,16.3,5.1
Sun,15.2,3.8
`,
  "notes/ideas.md": `# Ideas

- Ask the wind too
- A plot by hour
`,
};
