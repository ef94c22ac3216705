// Markdown as elements. Nothing of the text becomes markup: HTML in it is shown as it is written, and
// links lead to http, https, mail or inside the page only.
import type {ComponentChildren} from "preact";
import {marked, type Token, type Tokens} from "marked";

function safe(href: string): string | undefined {
  return /^(https?:|mailto:|#)/i.test(href) ? href : undefined;
}

function inline(tokens: Token[] | undefined): ComponentChildren {
  return tokens?.map((token, i) => {
    switch (token.type) {
      case "strong": return <strong key={i}>{inline(token.tokens)}</strong>;
      case "em": return <em key={i}>{inline(token.tokens)}</em>;
      case "del": return <del key={i}>{inline(token.tokens)}</del>;
      case "codespan": return <code key={i}>{(token as Tokens.Codespan).text}</code>;
      case "br": return <br key={i} />;
      case "link": {
        const href = safe((token as Tokens.Link).href);
        return href ? <a key={i} href={href} target="_blank" rel="noreferrer noopener">
          {inline(token.tokens)}</a> : <span key={i}>{inline(token.tokens)}</span>;
      }
      case "image": return <span key={i} class="faint">[{(token as Tokens.Image).text}]</span>;
      case "text": return token.tokens ? inline(token.tokens) : plain((token as Tokens.Text).text);
      case "escape": return plain((token as Tokens.Escape).text);
      default: return token.raw;
    }
  });
}

// marked escapes text for HTML, which this is not.
function plain(text: string): string {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'").replaceAll("&amp;", "&");
}

function block(tokens: Token[]): ComponentChildren {
  return tokens.map((token, i) => {
    switch (token.type) {
      case "space": return null;
      case "hr": return <hr key={i} />;
      case "heading": {
        const Level = (["h3", "h3", "h4", "h5", "h6", "h6"] as const)[(token as Tokens.Heading).depth - 1];
        return <Level key={i}>{inline(token.tokens)}</Level>;
      }
      case "paragraph": return <p key={i}>{inline(token.tokens)}</p>;
      case "text": return <span key={i}>{token.tokens ? inline(token.tokens) : token.raw}</span>;
      case "code": return <pre key={i} tabIndex={0}>{(token as Tokens.Code).text}</pre>;
      case "blockquote": return <blockquote key={i}>{block(token.tokens ?? [])}</blockquote>;
      case "list": {
        const list = token as Tokens.List;
        const items = list.items.map((item, j) => <li key={j}>{block(item.tokens)}</li>);
        return list.ordered ? <ol key={i}>{items}</ol> : <ul key={i}>{items}</ul>;
      }
      case "table": {
        const table = token as Tokens.Table;
        return (
          <div class="scroll" key={i}><table class="rows small">
            <thead><tr>{table.header.map((cell, j) => <th key={j} scope="col">{inline(cell.tokens)}</th>)}</tr></thead>
            <tbody>{table.rows.map((row, j) => (
              <tr key={j}>{row.map((cell, k) => <td key={k}>{inline(cell.tokens)}</td>)}</tr>))}</tbody>
          </table></div>
        );
      }
      default: return <p key={i}>{token.raw}</p>;
    }
  });
}

export function Markdown({text}: {text: string}) {
  // What stands between "---" lines at the top is for machines.
  const body = text.replace(/^---\r?\n[\s\S]*?\r?\n---\r?\n/, "");
  return <div class="markdown">{block(marked.lexer(body))}</div>;
}
