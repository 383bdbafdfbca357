import { type QueryKey, useMutation, useQueryClient } from "@tanstack/react-query";
import { toasts } from "./client.js";

/**
 * Something that changes the service. `keys` are read anew after it; its error is shown by whoever calls, or, with
 * `toast`, in the corner.
 */
export function useAction<Input, Output>(
  work: (input: Input) => Promise<Output>,
  options: {
    readonly keys?: readonly QueryKey[];
    readonly done?: string | ((output: Output) => string);
    readonly toast?: boolean;
    readonly onSuccess?: (output: Output, input: Input) => void;
  } = {},
) {
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: work,
    onError: (error) => {
      if (options.toast) toasts.fail(error);
    },
    onSuccess: (output, input) => {
      if (options.done) toasts.show(typeof options.done === "string" ? options.done : options.done(output));
      options.onSuccess?.(output, input);
    },
    onSettled: () =>
      Promise.all((options.keys ?? []).map((queryKey) => queryClient.invalidateQueries({ queryKey }))),
  });
}
