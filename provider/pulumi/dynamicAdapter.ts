import { isSandboxesError } from "../client/errors";
import { scrub } from "../client/secrets";
import type { CheckFailure } from "./checkInputs";
import { InitFailed } from "./initFailed";
import type { Served } from "./lazyResource";
import { canonical, type PropertyBag } from "./propertyBag";
import type { Session } from "./session";

/** The calls that Pulumi's dynamic provider makes, by these names; see the modules of `provider/dynamic`. */
export interface DynamicCalls {
  configure(request: { config: { get(key: string): string | undefined } }): void;
  check(olds: PropertyBag, news: PropertyBag): Promise<{ inputs: PropertyBag; failures: CheckFailure[] }>;
  diff(id: string, olds: PropertyBag, news: PropertyBag): Promise<DynamicDiff>;
  create(inputs: PropertyBag): Promise<{ id: string; outs: PropertyBag }>;
  read(id: string, props?: PropertyBag): Promise<{ id?: string; props?: PropertyBag; inputs?: PropertyBag }>;
  update(id: string, olds: PropertyBag, news: PropertyBag): Promise<{ outs: PropertyBag }>;
  delete(id: string, props: PropertyBag): Promise<void>;
}

export interface DynamicDiff {
  changes: boolean;
  replaces: string[];
  deleteBeforeReplace: boolean;
}

/** Serves a resource to Pulumi's dynamic provider, whose process loads this through the trampoline in the state. */
export function dynamicAdapter(resource: Served, session: Session): DynamicCalls {
  return {
    configure({ config }) {
      session.configure((key) => config.get(key));
    },
    async check(olds, news) {
      return plainErrors(async () => resource.check(session, own(olds), own(news)));
    },
    async diff(id, olds, news) {
      return plainErrors(async () => {
        const { changes, replaces, deleteBeforeReplace } = await resource.diff(session, id, own(olds), own(news));
        return { changes: changes.length > 0, replaces, deleteBeforeReplace };
      });
    },
    async create(inputs) {
      return plainErrors(async () => {
        const { id, state } = await resource.create(session, own(inputs));
        return { id, outs: wire(state) };
      }, inputs);
    },
    async read(id, props = {}) {
      return plainErrors(async () => {
        const found = await resource.read(session, id, own(props));
        return found ? { id, props: wire(found.state), inputs: wire(found.inputs) } : {};
      });
    },
    async update(id, olds, news) {
      return plainErrors(async () => ({ outs: wire(await resource.update(session, id, own(olds), own(news))) }), news);
    },
    async delete(id, props) {
      await plainErrors(() => resource.delete(session, id, own(props)));
    },
  };
}

/** The engine's own `__provider` stays out; the host process puts it back into whatever is returned, but not thrown. */
function own(bag: PropertyBag): PropertyBag {
  const { __provider, ...rest } = bag;
  return rest;
}

/** Protobuf has no undefined. */
function wire(bag: PropertyBag): PropertyBag {
  return canonical(bag) as PropertyBag;
}

/**
 * The dynamic provider shows an error's text and stack to the user, and reads `code` and `id` of it as its own: so it
 * gets one line that says what to do, and no stack unless the fault is ours.
 */
async function plainErrors<T>(call: () => Promise<T>, given: PropertyBag = {}): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof InitFailed) {
      // Without it in the state whatever was made could never be deleted.
      const { __provider } = given;
      throw new InitFailed(error.id, wire({ ...error.properties, __provider }), scrub(error.message));
    }
    if (!isSandboxesError(error)) throw scrubbed(error);
    const plain = new Error(scrub(error.toString()));
    plain.name = "";
    plain.stack = "";
    throw plain;
  }
}

/** A fault of ours, which is shown with its stack; what it holds beside its text is not. */
function scrubbed(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  error.message = scrub(error.message);
  if (error.stack) error.stack = scrub(error.stack);
  return error;
}
