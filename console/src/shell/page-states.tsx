import { Link, Outlet, useRouter } from "@tanstack/react-router";
import { Button } from "../ui/button.js";
import { ErrorNotice } from "../ui/error-notice.js";
import { Empty } from "../ui/feedback.js";
import { useTitle } from "./page.js";

/** The whole console. */
export function Root() {
  return <Outlet />;
}

/** What stands at an address without a page. */
export function PageNotFound() {
  useTitle("Not found");
  return (
    <main className="page" id="main">
      <div className="card">
        <Empty
          icon="search"
          title="There is nothing here"
          action={
            <Link to="/projects" className="btn btn-primary">
              To your projects
            </Link>
          }
        >
          What was here was deleted or moved, or it is not shared with you. Ask whoever gave you the address.
        </Empty>
      </div>
    </main>
  );
}

/** A page that failed while it was drawn. */
export function PageError({ error, reset }: { readonly error: unknown; readonly reset?: () => void }) {
  const router = useRouter();
  useTitle("Something went wrong");
  return (
    <main className="page stack" id="main">
      <ErrorNotice error={error} />
      <div className="row">
        <Button
          icon="refresh"
          onClick={() => {
            reset?.();
            void router.invalidate();
          }}
        >
          Try again
        </Button>
        <Button kind="quiet" onClick={() => location.reload()}>
          Reload the page
        </Button>
      </div>
    </main>
  );
}
