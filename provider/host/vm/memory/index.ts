export { createMemoryDriver } from "./memoryDriver";
