export { type Catalogue, type CatalogueFile, createCatalogue, readCatalogueFile } from "./catalogue";
export { createImageStore, type ImageStoreOptions } from "./createImageStore";
export { defaultImageLimits, type ImageLimits } from "./imageLimits";
export { type ImageReference, isLocalReference, parseImageReference } from "./imageReference";
export type { CatalogueEntry, ImageConfig, ImageStore, ImportOptions, StoredImage } from "./imageStore";
export { checkImageTools, type ImageTool } from "./imageTools";
