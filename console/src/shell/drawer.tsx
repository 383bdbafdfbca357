import { type ReactNode, useEffect, useRef } from "react";

/** The navigation of a narrow screen, over the page. */
export function Drawer({
  onClose,
  children,
}: {
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className="drawer"
      aria-label="Menu"
      onCancel={onClose}
      onClick={(event) => {
        if (event.target === event.currentTarget || (event.target as Element).closest("a")) onClose();
      }}
    >
      {children}
    </dialog>
  );
}
