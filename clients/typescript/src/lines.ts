/** The lines of a streamed response, as they arrive. Ends the stream when the reader stops. */
export async function* lines(response: Response, ended: AbortSignal): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      ended.throwIfAborted();
      const parts = (rest + (value ?? "")).split("\n");
      // The text after the last line break is not a whole line, not even when the response ends.
      rest = parts.pop() ?? "";
      yield* parts.filter(Boolean);
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
