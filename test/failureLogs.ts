/** What tells more about a failure than the test itself: logs of hosts that live in the test's process, by name. */
export const failureLogs = new Map<string, () => string>();
