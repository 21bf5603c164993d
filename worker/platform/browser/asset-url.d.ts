// What the bundler makes of an import with `?url`: where it puts the file.

declare module "*?url" {
  const url: string;
  // biome-ignore lint/style/noDefaultExport: so the bundler exports it.
  export default url;
}
