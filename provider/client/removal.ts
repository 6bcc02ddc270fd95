import { isMissing } from "./failures";
import type { HttpClient, HttpRequest } from "./http";

/** Deletes what a path names; succeeds also when it was not there. */
export async function removeIfThere(http: HttpClient, request: Omit<HttpRequest, "method">): Promise<void> {
  try {
    await http.status({ ...request, method: "DELETE" });
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
