import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/components.css";
import "./styles/shell.css";
import "./styles/pages.css";
import "./styles/editor.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { client, toasts } from "./data/client.js";
import { queryClient } from "./data/queries.js";
import { onSession } from "./data/session.js";
import { router } from "./router.js";
import { ToastList } from "./ui/toast.js";

const root = document.getElementById("root");
if (root) {
  await client.auth.ready();
  // Whoever signs in or out, here or in another tab, is led to where they now belong.
  onSession(() => void router.invalidate());
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
        <ToastList toasts={toasts} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
