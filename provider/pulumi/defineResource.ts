import type { z } from "zod";
import { isMissing } from "../client/failures";
import type { SandboxApi } from "../client/sandboxApi";
import { type CheckedInputs, type CheckFailure, canonicalInputs, checkInputs, secretInputs } from "./checkInputs";
import { type Change, diffInputs, inputOf } from "./diffInputs";
import { fingerprintInputs } from "./fingerprint";
import { InitFailed } from "./initFailed";
import { type Parity, refusals } from "./parity";
import { projectLive } from "./projectLive";
import { canonical, definedOnly, type PropertyBag } from "./propertyBag";
import type { ProviderConfig, Target } from "./providerConfig";
import { type ResourceRules, targetKeyOf, targetOf } from "./rules";
import type { GroupScope, Session } from "./session";
import { unknownValue } from "./unknowns";

/** What a resource is: its properties, and how it is made, found, changed and removed. Knows nothing of the engine. */
export interface ResourceSpec<In extends z.ZodObject, Out extends z.ZodObject>
  extends Omit<ResourceRules, "inputNames"> {
  /** `SandboxGroup`: the last part of the type token. */
  token: string;
  description: string;
  /**
   * Each field described in one line; `.meta({ secret: true })` on what must not be shown. Keys in `__` are hidden.
   * `target` or `__target` is where the resource's target is kept, filled in where it is left out.
   */
  inputs: In;
  /** What the service tells beyond the inputs, and the inputs of `computed`. */
  outputs: Out;
  /** Inputs, or paths in them, whose change needs a new object. */
  replaceOn: readonly string[];
  /** Inputs that can be given to an object that is there, and then neither changed nor taken away. */
  setOnce?: readonly string[];
  /** The same as `replaceOn`, on one target only. */
  replaceOnTarget?: Partial<Record<Target, readonly string[]>>;
  /** Where targets differ; what one cannot honour is refused. */
  parity?: Parity;
  /** What else the target wants of the inputs and the configuration. */
  checkTarget?(inputs: PropertyBag, target: Target, config: ProviderConfig): CheckFailure[];
  /** True when old and new cannot exist at once. */
  deleteBeforeReplace?(olds: PropertyBag, news: PropertyBag): boolean;

  create(inputs: z.output<In>, context: CreateContext): Promise<Created<Out>>;
  /** Undefined, or a `NotFound` error, when it is gone; any other failure rejects. */
  read(id: string, state: PropertyBag, context: Context): Promise<Live<In, Out> | undefined>;
  /** Brings what `replaceOn` does not name to `inputs`; also called to repair an object that was not ready. */
  update(id: string, inputs: z.output<In>, olds: PropertyBag, context: Context): Promise<z.input<Out>>;
  /** May reject with `NotFound`: it is gone already. */
  delete(id: string, state: PropertyBag, context: Context): Promise<void>;
}

export interface Context {
  session: Session;
  /** Of the resource at hand. */
  target: Target;
  /** The API of that target, by default for the configured scope. */
  api(scope?: Partial<GroupScope>): Promise<SandboxApi>;
}

export interface CreateContext extends Context {
  /** One value for all inputs that need a new object when they change; undefined when it cannot be told (secrets). */
  fingerprint: string | undefined;
}

export interface Created<Out extends z.ZodObject> {
  id: string;
  outputs: z.input<Out>;
}

export interface Live<In extends z.ZodObject, Out extends z.ZodObject> {
  /** Inputs as they are now; what cannot be read back is left out. */
  inputs: Partial<z.input<In>>;
  outputs: z.input<Out>;
}

/** A resource as the engine drives it; the adapters only carry property bags in and out. */
export interface Resource {
  token: string;
  description: string;
  inputs: z.ZodObject;
  outputs: z.ZodObject;
  replaceOn: readonly string[];
  check(session: Session, olds: PropertyBag, news: PropertyBag): CheckedInputs;
  diff(session: Session, id: string, olds: PropertyBag, news: PropertyBag): Difference;
  /** Rejects with `InitFailed` when the object exists but did not become usable. */
  create(session: Session, news: PropertyBag): Promise<{ id: string; state: PropertyBag }>;
  /** Undefined when the object is gone. */
  read(
    session: Session,
    id: string,
    olds: PropertyBag,
  ): Promise<{ inputs: PropertyBag; state: PropertyBag } | undefined>;
  update(session: Session, id: string, olds: PropertyBag, news: PropertyBag): Promise<PropertyBag>;
  /** Repeatable. */
  delete(session: Session, id: string, olds: PropertyBag): Promise<void>;
}

export interface Difference {
  changes: Change[];
  /** Names of inputs, or of the output that is broken, that make a new object necessary. */
  replaces: string[];
  deleteBeforeReplace: boolean;
}

/** In the state: names of `computed` inputs that the user left out. */
const filledIn = "__filledIn";

/** Turns the description of a resource into what an adapter serves. The result is pure: all it shares is the session. */
export function defineResource<In extends z.ZodObject, Out extends z.ZodObject>(spec: ResourceSpec<In, Out>): Resource {
  const computed = spec.computed ?? [];
  const secrets = secretInputs(spec.inputs);
  const visible = Object.keys(spec.inputs.shape).filter((key) => !key.startsWith("__"));
  const targetKey = targetKeyOf(Object.keys(spec.inputs.shape));

  function contextOf(session: Session, bag: PropertyBag, id?: string): Context {
    const target = targetOf(session, targetKey, bag, id);
    return { session, target, api: (scope) => session.api(scope, target) };
  }

  /** The engine prints the value of the property that a failure names. */
  function withoutSecret({ property, reason }: CheckFailure): CheckFailure {
    return secrets.includes(property) ? { property: "", reason: `${property}: ${reason}` } : { property, reason };
  }

  function replaceOnOf(target: Target): readonly string[] {
    return [...spec.replaceOn, ...(spec.replaceOnTarget?.[target] ?? [])];
  }

  function stateOf(inputs: PropertyBag, outputs: z.input<Out>): PropertyBag {
    const left = computed.filter((key) => inputs[key] === undefined);
    return { ...inputs, ...definedOnly(spec.outputs.parse(outputs) as PropertyBag), [filledIn]: left };
  }

  function inputsOf(state: PropertyBag): PropertyBag {
    const left = Array.isArray(state[filledIn]) ? state[filledIn] : [];
    return Object.fromEntries(
      Object.keys(spec.inputs.shape)
        .filter((key) => state[key] !== undefined && !left.includes(key))
        .map((key) => [key, state[key]]),
    );
  }

  return {
    token: spec.token,
    description: spec.description,
    inputs: spec.inputs,
    outputs: spec.outputs,
    replaceOn: spec.replaceOn,

    check(session, olds, news) {
      const { inputs, failures } = checkInputs(spec.inputs, news);
      // A preview may not know the group's target yet: the old one then, or the likely one; the update checks again.
      const isUnknown = targetKey !== undefined && inputs[targetKey] === unknownValue;
      const target = targetOf(session, targetKey, isUnknown ? { ...inputs, ...pick(olds, [targetKey]) } : inputs);
      const filled = spec.fillIn?.(inputs, target, session.config) ?? inputs;
      failures.push(...refusals(spec.parity ?? {}, target, filled, session.config).map(withoutSecret));
      failures.push(...(spec.checkTarget?.(filled, target, session.config) ?? []));
      const isKnown = targetKey && inputs.group !== unknownValue;
      return { inputs: canonical(isKnown ? { ...filled, [targetKey]: target } : filled) as PropertyBag, failures };
    },

    diff(session, id, olds, news) {
      session.knownIds.add(id);
      const left = computed.filter((key) => news[key] === undefined);
      const compared = visible.filter((key) => !left.includes(key));
      const before = targetOf(session, targetKey, olds, id);
      const known = targetKey ? { ...olds, [targetKey]: before } : olds;
      const old = pick(canonicalInputs(spec.inputs, known), compared);
      const fixed = (spec.setOnce ?? []).filter((key) => old[key] !== undefined);
      const changes = diffInputs(old, pick(news, compared), [...replaceOnOf(before), ...fixed]);
      const broken = spec.brokenBy?.(olds);
      if (broken) changes.push({ path: broken, kind: "update", replaces: true });
      const replaces = [...new Set(changes.filter((change) => change.replaces).map((change) => inputOf(change.path)))];
      const deleteBeforeReplace = replaces.length > 0 && (spec.deleteBeforeReplace?.(olds, news) ?? false);
      return { changes, replaces, deleteBeforeReplace };
    },

    async create(session, news) {
      const inputs = spec.inputs.parse(news) as z.output<In>;
      const context = contextOf(session, inputs as PropertyBag);
      const fingerprint = fingerprintInputs(inputs as PropertyBag, replaceOnOf(context.target), secrets);
      try {
        const created = await spec.create(inputs, { ...context, fingerprint });
        session.knownIds.add(created.id);
        return { id: created.id, state: stateOf(news, created.outputs) };
      } catch (error) {
        if (!(error instanceof InitFailed)) throw error;
        session.knownIds.add(error.id);
        const properties = stateOf(news, error.properties as z.input<Out>);
        throw new InitFailed(error.id, properties, error.message, error.cause);
      }
    },

    async read(session, id, olds) {
      session.knownIds.add(id);
      const context = contextOf(session, olds, id);
      const live = await spec.read(id, olds, context).catch(goneAsUndefined);
      if (!live) return undefined;
      const had = inputsOf(olds);
      const imported = visible.every((key) => had[key] === undefined);
      const inputs = projectLive(spec.inputs, live.inputs, imported ? live.inputs : had);
      const where = targetKey && { [targetKey]: context.target };
      return { inputs, state: { ...stateOf(inputs, live.outputs), ...where, ...pick(olds, [filledIn]) } };
    },

    async update(session, id, olds, news) {
      session.knownIds.add(id);
      const inputs = spec.inputs.parse(news) as z.output<In>;
      return stateOf(news, await spec.update(id, inputs, olds, contextOf(session, olds, id)));
    },

    async delete(session, id, olds) {
      session.knownIds.add(id);
      await spec.delete(id, olds, contextOf(session, olds, id)).catch(goneAsUndefined);
    },
  };
}

function goneAsUndefined(error: unknown): undefined {
  if (isMissing(error)) return undefined;
  throw error;
}

function pick(bag: PropertyBag, keys: readonly string[]): PropertyBag {
  return Object.fromEntries(keys.filter((key) => bag[key] !== undefined).map((key) => [key, bag[key]]));
}
