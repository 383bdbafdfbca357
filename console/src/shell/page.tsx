import { Link, type LinkProps } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import { Icon } from "../ui/icon.js";

/** The head of a page; its title is the document's too. */
export function PageHead({
  title,
  about,
  actions,
}: {
  readonly title: string;
  readonly about?: ReactNode;
  readonly actions?: ReactNode;
}) {
  useTitle(title);
  return (
    <div className="page-head">
      <div>
        <h1>{title}</h1>
        {about && <p>{about}</p>}
      </div>
      {actions && <div className="page-actions">{actions}</div>}
    </div>
  );
}

/** Names the document after what it shows. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Atelier`;
  }, [title]);
}

/** One step of the way to a page. */
export interface Crumb extends Pick<LinkProps, "to" | "params"> {
  readonly label: string;
}

/** The way to a page; the last step is the page itself. */
export function Crumbs({ steps }: { readonly steps: readonly Crumb[] }) {
  return (
    <nav aria-label="Breadcrumb" className="grow">
      <ol className="crumbs">
        {steps.map(({ label, to, params }, index) => (
          <li key={label}>
            {index > 0 && <Icon name="chevron-right" />}
            {index === steps.length - 1 ? (
              <span aria-current="page">{label}</span>
            ) : (
              <Link to={to} params={params} activeProps={{ "aria-current": undefined }}>
                {label}
              </Link>
            )}
          </li>
        ))}
      </ol>
    </nav>
  );
}
