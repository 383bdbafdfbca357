import { type KeyboardEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";

/** What a menu's trigger gets. */
export interface MenuTrigger {
  readonly "aria-haspopup": "menu";
  readonly "aria-expanded": boolean;
  readonly onClick: () => void;
}

const GAP = 4;

/** A menu at its trigger: arrows move, Escape and Tab close it, a press outside too. */
export function Menu({
  trigger,
  label,
  children,
}: {
  readonly trigger: (props: MenuTrigger) => ReactNode;
  readonly label: string;
  readonly children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLSpanElement>(null);
  const menu = useRef<HTMLDivElement>(null);

  useLayoutEffect(() => {
    if (!open || !anchor.current || !menu.current) return;
    place(menu.current, anchor.current.getBoundingClientRect());
    items(menu.current)[0]?.focus();
  }, [open]);

  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!anchor.current?.contains(event.target as Node)) setOpen(false);
    };
    const moved = () => setOpen(false);
    document.addEventListener("pointerdown", outside);
    window.addEventListener("resize", moved);
    return () => {
      document.removeEventListener("pointerdown", outside);
      window.removeEventListener("resize", moved);
    };
  }, [open]);

  const close = () => {
    setOpen(false);
    anchor.current?.querySelector<HTMLElement>("button")?.focus();
  };

  return (
    <span className="menu-anchor" ref={anchor}>
      {trigger({ "aria-haspopup": "menu", "aria-expanded": open, onClick: () => setOpen(!open) })}
      {open && (
        <div
          className="menu"
          role="menu"
          aria-label={label}
          tabIndex={-1}
          ref={menu}
          onKeyDown={(event) => move(event, close)}
          onClick={() => close()}
        >
          {children}
        </div>
      )}
    </span>
  );
}

function items(menu: HTMLElement): HTMLElement[] {
  return [...menu.querySelectorAll<HTMLElement>("[role=menuitem]:not(:disabled)")];
}

function place(menu: HTMLElement, at: DOMRect): void {
  const { offsetWidth: width, offsetHeight: height } = menu;
  const left = at.right - width < GAP ? at.left : at.right - width;
  const below = at.bottom + GAP + height <= innerHeight || at.top < height;
  menu.style.left = `${Math.max(GAP, Math.min(left, innerWidth - width - GAP))}px`;
  menu.style.top = `${below ? at.bottom + GAP : at.top - height - GAP}px`;
}

function move(event: KeyboardEvent<HTMLElement>, close: () => void): void {
  const all = items(event.currentTarget);
  const index = all.indexOf(document.activeElement as HTMLElement);
  const to: Record<string, number> = {
    ArrowDown: (index + 1) % all.length,
    ArrowUp: (index - 1 + all.length) % all.length,
    Home: 0,
    End: all.length - 1,
  };
  if (event.key in to) {
    event.preventDefault();
    all[to[event.key] ?? 0]?.focus();
  } else if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    event.stopPropagation();
    close();
  }
}
