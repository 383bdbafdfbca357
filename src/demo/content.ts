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

- \`src/main.js\` prints a forecast, a line at a time; it imports its two neighbours
- \`src/summary.py\` reads \`data/readings.csv\`
- \`notes/ideas.md\` is for both of you
`,
  "src/main.js": `import { forecast, mean } from "./forecast.js";
import { readings } from "./readings.js";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

for (const { day, celsius, millimetres } of readings) {
  const bar = "=".repeat(Math.round(celsius));
  console.log(\`\${day}  \${bar.padEnd(22)} \${celsius.toFixed(1)} °C  \${millimetres} mm\`);
  await pause(300);
}

console.log(\`\\nMean: \${mean(readings.map(({ celsius }) => celsius)).toFixed(1)} °C\`);
console.log(\`Tomorrow: \${forecast(readings)}\`);
`,
  "src/readings.js": `/** A week at the station. */
export const readings = [
  { day: "Mon", celsius: 14.2, millimetres: 0 },
  { day: "Tue", celsius: 15.8, millimetres: 0.2 },
  { day: "Wed", celsius: 17.1, millimetres: 0 },
  { day: "Thu", celsius: 19.4, millimetres: 0 },
  { day: "Fri", celsius: 18.0, millimetres: 2.4 },
  { day: "Sat", celsius: 16.3, millimetres: 5.1 },
  { day: "Sun", celsius: 15.2, millimetres: 3.8 },
];
`,
  "src/summary.py": `import csv

with open("data/readings.csv") as file:
    rows = list(csv.DictReader(file))

warmest = max(rows, key=lambda row: float(row["celsius"]))
rain = sum(float(row["millimetres"]) for row in rows)
print(f"Warmest: {warmest['day']} with {warmest['celsius']} °C")
print(f"Rain:    {rain:.1f} mm in {len(rows)} days")
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
