import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Icon, type IconName } from "./icon.js";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly kind?: "primary" | "danger" | "quiet" | "plain";
  readonly small?: boolean;
  readonly icon?: IconName;
  /** What it began is under way: it cannot be pressed again until then. */
  readonly busy?: boolean;
  readonly children: ReactNode;
}

/** A button with words. */
export function Button({ kind = "plain", small, icon, busy, children, className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={classes("btn", kind !== "plain" && `btn-${kind}`, small && "btn-small", className)}
    >
      {busy ? <span className="spinner" aria-hidden="true" /> : icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

interface IconButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "children"> {
  readonly icon: IconName;
  /** What it does, for its tooltip and for screen readers. */
  readonly label: string;
  readonly small?: boolean;
  readonly kind?: "quiet" | "plain";
}

/** A button that is an icon. */
export function IconButton({ icon, label, small, kind = "quiet", className, ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      {...rest}
      className={classes("btn btn-icon", kind === "quiet" && "btn-quiet", small && "btn-small", className)}
    >
      <Icon name={icon} />
    </button>
  );
}

/** Joins the class names that hold. */
export function classes(...names: readonly (string | false | undefined)[]): string {
  return names.filter(Boolean).join(" ");
}
