// What a page of the demo begins with: what is asked for is fetched and shown, or why it cannot be.

import { type ComponentChild, render } from "preact";

export interface Page {
  readonly title: string;
  readonly view: ComponentChild;
}

/**
 * @param known whether an error's message is for whoever opened the page
 * @param failed shows why there is nothing
 */
export async function showPage(
  make: () => Promise<Page>,
  known: (error: unknown) => boolean,
  failed: (reason: string) => ComponentChild,
): Promise<void> {
  const show = (state: "ready" | "failed", view: ComponentChild) => {
    const page = document.getElementById("page")!;
    page.replaceChildren();
    render(view, page);
    document.documentElement.dataset.state = state;
  };
  try {
    const { title, view } = await make();
    document.title = `${title} · bitswarm`;
    show("ready", view);
  } catch (error) {
    if (!known(error)) console.error(error);
    show("failed", failed(known(error) ? (error as Error).message : "something unexpected went wrong"));
  }
}
