import { useCallback, useEffect, useState } from "react";
import type { Client, Customer, Result, View } from "./index.js";

/** The shopper, and how to read it again. `result` is `undefined` until the first response. */
export function useMe(client: Client, view?: View): { result: Me | undefined; refresh: () => void } {
  const [result, setResult] = useState<Me>();
  const [reads, setReads] = useState(0);
  // A view that is written in the component is a new object at each rendering.
  const parameters = JSON.stringify(view ?? {});
  useEffect(() => {
    const leaving = new AbortController();
    void client
      .me(JSON.parse(parameters) as View, { signal: leaving.signal })
      .then((read) => leaving.signal.aborted || setResult(read));
    return () => leaving.abort();
  }, [client, parameters, reads]);
  return { result, refresh: useCallback(() => setReads((before) => before + 1), []) };
}

type Me = Result<{ customer: Customer }>;
