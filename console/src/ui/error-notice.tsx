import { Button } from "./button.js";
import { explain } from "./error-text.js";
import { Notice } from "./feedback.js";

/** What went wrong and what to do; with a button when trying again may help. */
export function ErrorNotice({ error, onRetry }: { readonly error: unknown; readonly onRetry?: () => void }) {
  if (error == null) return null;
  const { what, advice, requestId } = explain(error);
  return (
    <Notice tone="danger">
      <p>
        <strong>{what}</strong>
      </p>
      <p>{advice}</p>
      {requestId && <p className="small mono">Request {requestId}</p>}
      {onRetry && (
        <p className="notice-action">
          <Button small icon="refresh" onClick={onRetry}>
            Try again
          </Button>
        </p>
      )}
    </Notice>
  );
}
