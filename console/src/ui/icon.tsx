/** Outlines of 24 × 24, drawn for this console. */
const PATHS = {
  activity: "M3 12h4l3-8 4 16 3-8h4",
  alert: "M12 3.5 2.5 20h19L12 3.5ZM12 10v4.5M12 17.4v.1",
  archive: "M3.5 4.5h17v4h-17zM5 8.5v11h14v-11M10 12.5h4",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15zM10 21h4",
  check: "m5 12.5 4.5 4.5L19 7.5",
  "chevron-down": "m6 9 6 6 6-6",
  "chevron-right": "m9 6 6 6-6 6",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5.2l3.3 2",
  cloud: "M7 18.5a4.5 4.5 0 0 1-.4-9A6 6 0 0 1 18 8.8a4.9 4.9 0 0 1-.7 9.7z",
  "cloud-off": "M3 3l18 18M7 18.5a4.5 4.5 0 0 1-.4-9M9.5 6a6 6 0 0 1 8.5 2.8 4.9 4.9 0 0 1 2 8.6M14 18.5H7",
  code: "m8.5 7-5 5 5 5M15.5 7l5 5-5 5",
  columns: "M3.5 4.5h17v15h-17zM12 4.5v15",
  copy: "M8.5 8.5h11v11h-11zM15.5 8.5v-4h-11v11h4",
  database:
    "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3ZM4 6v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6M4 12c0 1.7 3.6 3 8 3s8-1.3 8-3",
  device: "M3.5 5h17v11h-17zM8.5 20h7M12 16v4",
  dots: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  download: "M12 4v11M7 10.5l5 5 5-5M4.5 20h15",
  external: "M14 4.5h5.5V10M19.5 4.5 11 13M17 13.5v6H4.5V7h6",
  file: "M6 3h8l4.5 4.5V21H6zM14 3v5h4.5",
  "file-plus": "M6 3h8l4.5 4.5V21H6zM14 3v5h4.5M12.2 11.5v6M9.2 14.5h6",
  folder: "M3 6h6.5l2 2.5H21V19H3z",
  "folder-plus": "M3 6h6.5l2 2.5H21V19H3zM12 11v5M9.5 13.5h5",
  gear: "M12 15.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM19 12l2-1.4-1.9-3.3-2.2.9-1.5-.9L15 5h-3.9l-.4 2.3-1.6.9-2.2-.9L5 10.6 7 12l-2 1.4 1.9 3.3 2.2-.9 1.6.9.4 2.3H15l.4-2.3 1.5-.9 2.2.9 1.9-3.3z",
  grid: "M4 4h6.5v6.5H4zM13.5 4H20v6.5h-6.5zM4 13.5h6.5V20H4zM13.5 13.5H20V20h-6.5z",
  history: "M4 4.5V9h4.5M4.6 9A8.3 8.3 0 1 1 3.7 13M12 8v4.3l3 1.8",
  home: "m3.5 11 8.5-7.5 8.5 7.5M5.5 9.5V20h13V9.5M10 20v-5.5h4V20",
  image: "M3.5 4.5h17v15h-17zM8.5 11a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4ZM4 18l5-4.5 3 2.5 4-4 4.5 4.5",
  jobs: "M4 5.5h10M4 12h16M4 18.5h7M17 5.5h3M14.5 18.5H20",
  keyboard: "M2.5 6h19v12h-19zM6 10h.01M10 10h.01M14 10h.01M18 10h.01M7.5 14h9",
  link: "M10 14a4.2 4.2 0 0 0 6 0l3.3-3.3a4.2 4.2 0 0 0-6-6L12 6M14 10a4.2 4.2 0 0 0-6 0l-3.3 3.3a4.2 4.2 0 0 0 6 6L12 18",
  lock: "M5 10.5h14V20H5zM8 10.5V7.8a4 4 0 0 1 8 0v2.7",
  logout: "M14 4.5h5.5v15H14M10.5 8 6 12l4.5 4M6.5 12H15",
  mail: "M3 5.5h18v13H3zM3.5 6.5l8.5 7 8.5-7",
  menu: "M4 7h16M4 12h16M4 17h16",
  minus: "M5 12h14",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5Z",
  pencil: "m4 20 1-4.5L16.5 4 20 7.5 8.5 19z",
  play: "M7 4.5v15l12-7.5z",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 5v5h-5M4 19v-5h5M19.3 10A8 8 0 0 0 5.3 7.5M4.7 14a8 8 0 0 0 14 2.5",
  report: "M5 3.5h14v17H5zM9 16v-3M12 16V9M15 16v-5",
  search: "M10.8 17.5a6.7 6.7 0 1 0 0-13.4 6.7 6.7 0 0 0 0 13.4ZM16 16l4.5 4.5",
  shield: "M12 3.2 4.8 6v5.5c0 4.4 3 7.6 7.2 9.3 4.2-1.7 7.2-4.9 7.2-9.3V6z",
  stop: "M6 6h12v12H6z",
  sun: "M12 16.2a4.2 4.2 0 1 0 0-8.4 4.2 4.2 0 0 0 0 8.4ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4",
  terminal: "M3 4.5h18v15H3zM7 9l3 3-3 3M12.5 15H17",
  trash: "M4.5 6.5h15M9.5 6V3.5h5V6M6.5 6.5 7.5 20.5h9l1-14M10.2 10.5v6M13.8 10.5v6",
  upload: "M12 16V4.5M7 9l5-5 5 5M4.5 20h15",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.6-4 3.6-6 7.5-6s6.9 2 7.5 6",
  users:
    "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 19.5c.5-3.6 3-5.3 6.5-5.3s6 1.7 6.5 5.3M15.5 4.8a3.5 3.5 0 0 1 0 6.4M18 14.6c2 .7 3.2 2.3 3.5 4.9",
  workspace: "M3.5 4.5h17v15h-17zM3.5 9h17M9 9v10.5",
  x: "M6 6l12 12M18 6 6 18",
} as const;

/** Name of an icon. */
export type IconName = keyof typeof PATHS;

/** A line icon; decoration, so it says nothing to a screen reader. */
export function Icon({ name, className }: { readonly name: IconName; readonly className?: string }) {
  return (
    <svg className={className ? `icon ${className}` : "icon"} viewBox="0 0 24 24" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark of Atelier: two cursors. */
export function Logo() {
  return (
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="8" fill="#1f2430" />
      <path d="M7 6.5l5.6 15.6 2.3-6.7 6.7-2.3z" fill="#6d93ff" />
      <path d="M16.2 14.9l3.6 10 1.5-4.3 4.3-1.5z" fill="#ffb454" />
    </svg>
  );
}
