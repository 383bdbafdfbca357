import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useTitle } from "../shell/page.js";
import { Logo } from "../ui/icon.js";

/** The frame of the pages before the console: a form, and beside it what awaits. */
export function Door({
  title,
  about,
  children,
  foot,
}: {
  readonly title: string;
  readonly about?: ReactNode;
  readonly children: ReactNode;
  readonly foot?: ReactNode;
}) {
  useTitle(title);
  return (
    <div className="door">
      <main className="door-form" id="main">
        <Link to="/" className="brand" aria-label="Atelier">
          <Logo />
          <span>Atelier</span>
        </Link>
        <h1>{title}</h1>
        {about && <p className="muted">{about}</p>}
        {children}
        {foot && <p className="door-foot">{foot}</p>}
      </main>
      <aside className="door-side" aria-hidden="true">
        <h2>Write and run code together, live.</h2>
        <div className="door-code">
          <b>export function</b> greet(name) {"{\n"}
          {"  "}
          <b>return</b>{" "}
          <i>
            `Hello ${"{"}name{"}"}`
          </i>
          <span className="door-cursor" data-name="Ada" />
          {";\n}\n\n"}
          console.log(greet(<i>"world"</i>
          <span className="door-cursor door-cursor-2" data-name="Bob" />
          {"));"}
        </div>
        <p>Every keystroke reaches the others at once, and what says saved is saved.</p>
      </aside>
    </div>
  );
}
