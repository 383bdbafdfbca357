import {
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  type TextareaHTMLAttributes,
  useId,
} from "react";

interface Shared {
  readonly label: string;
  /** A sentence below the field. */
  readonly hint?: ReactNode;
  /** What is wrong with what was entered. */
  readonly error?: string | undefined;
}

function Frame({
  label,
  hint,
  error,
  children,
}: Shared & {
  readonly children: (ids: {
    id: string;
    "aria-describedby": string | undefined;
    "aria-invalid": true | undefined;
  }) => ReactNode;
}) {
  const id = useId();
  const about = error ? `${id}-error` : hint ? `${id}-hint` : undefined;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-describedby": about, "aria-invalid": error ? true : undefined })}
      {error ? (
        <p className="field-error" id={`${id}-error`}>
          {error}
        </p>
      ) : (
        hint && (
          <p className="small faint" id={`${id}-hint`}>
            {hint}
          </p>
        )
      )}
    </div>
  );
}

/** A line of text with its label, hint and error. */
export function TextField({ label, hint, error, ...input }: Shared & InputHTMLAttributes<HTMLInputElement>) {
  return (
    <Frame label={label} hint={hint} error={error}>
      {(ids) => <input {...input} {...ids} className="input" />}
    </Frame>
  );
}

/** Several lines of text. */
export function TextArea({
  label,
  hint,
  error,
  mono,
  ...input
}: Shared & { readonly mono?: boolean } & TextareaHTMLAttributes<HTMLTextAreaElement>) {
  return (
    <Frame label={label} hint={hint} error={error}>
      {(ids) => <textarea {...input} {...ids} className={mono ? "input mono" : "input"} />}
    </Frame>
  );
}

/** A choice among a few. */
export function SelectField({
  label,
  hint,
  error,
  children,
  ...input
}: Shared & SelectHTMLAttributes<HTMLSelectElement>) {
  return (
    <Frame label={label} hint={hint} error={error}>
      {(ids) => (
        <select {...input} {...ids} className="input">
          {children}
        </select>
      )}
    </Frame>
  );
}
