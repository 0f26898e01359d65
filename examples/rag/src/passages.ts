/** A part of a document that is found and shown as a whole. */
export interface Passage {
  title: string;
  text: string;
}

/** Some 300 tokens: within what an embedding model reads. */
const LONGEST = 1200;

/**
 * The passages of a Markdown or plain text: what stands under a heading, its paragraphs together as far as they fit. A longer
 * paragraph is cut between sentences, else between words.
 */
export function split(name: string, source: string): Passage[] {
  const passages: Passage[] = [];
  let title = name.replace(/\.\w+$/, "");
  let text = "";
  const flush = (): void => {
    if (text !== "") passages.push({ title, text });
    text = "";
  };
  for (const block of source.replaceAll("\r\n", "\n").split(/\n\s*\n|\n(?=#{1,6} )|(?<=^#{1,6} .*)\n/m)) {
    const trimmed = block.trim();
    if (trimmed === "") continue;
    const heading = /^#{1,6} +(.*?)[ #]*$/.exec(trimmed)?.[1];
    if (heading !== undefined) {
      flush();
      title = heading;
      continue;
    }
    for (const piece of pieces(trimmed)) {
      if (text !== "" && text.length + 2 + piece.length > LONGEST) flush();
      text = text === "" ? piece : `${text}\n\n${piece}`;
    }
  }
  flush();
  return passages;
}

function pieces(paragraph: string): string[] {
  const found: string[] = [];
  let rest = paragraph;
  while (rest.length > LONGEST) {
    const head = rest.slice(0, LONGEST);
    const sentence = Math.max(head.lastIndexOf(". "), head.lastIndexOf("? "), head.lastIndexOf("! ")) + 1;
    const end = sentence > LONGEST / 2 ? sentence : Math.max(head.lastIndexOf(" "), head.lastIndexOf("\n"));
    const cut = end > 0 ? end : LONGEST;
    found.push(rest.slice(0, cut).trim());
    rest = rest.slice(cut).trim();
  }
  if (rest !== "") found.push(rest);
  return found;
}

/** As the models read it. */
export function readable({ title, text }: Passage): string {
  return `${title}\n\n${text}`;
}
