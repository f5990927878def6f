"""A page inside an output cell of a notebook, in a frame of its own that the notebook need not trust.

    output cell → <iframe sandbox="allow-scripts" srcdoc="the page">, otherwise what is shown without frames

The frame has an origin of its own: its script reads nothing of the notebook, of cookies or of storage (localStorage
raises SecurityError there), opens nothing and loads nothing. The notebook itself runs no script, so that the output is
the same in JupyterLab, VS Code, Colab and in HTML that nbconvert made. Where frames are taken out, as by GitHub's
viewer and by JupyterLab of a notebook that it does not trust, what is shown otherwise is there; it is printed too.
"""

import html

# The height is a class's: an attribute would outlive the frame. The frame's scheme is the notebook's, not the system's.
# The handle of resize is in the padding. While it is dragged the frame takes no pointer, or it could not be made lower.
_STYLE = """\
.ce-frame .ce-h{height}{{height:{height}px;min-height:8em;padding-bottom:14px;box-sizing:border-box;resize:vertical;\
overflow:hidden;border-radius:8px;border:1px solid #8886}}
.ce-frame .ce-h{height}:active iframe{{pointer-events:none}}
.ce-frame iframe{{display:block;width:100%;height:100%;border:0;color-scheme:light dark}}
[data-jp-theme-light="true"] .ce-frame iframe,body[data-theme="light"] .ce-frame iframe,.vscode-light .ce-frame iframe,\
html[theme="light"] .ce-frame iframe{{color-scheme:light}}
[data-jp-theme-light="false"] .ce-frame iframe,body[data-theme="dark"] .ce-frame iframe,.vscode-dark .ce-frame iframe,\
html[theme="dark"] .ce-frame iframe{{color-scheme:dark}}
.ce-frame:not(:has(iframe)) .ce-h{height},.ce-frame:has(iframe) .ce-otherwise{{display:none}}
@media print{{.ce-frame:has(.ce-otherwise) .ce-h{height}{{display:none}}\
.ce-frame:has(iframe) .ce-otherwise{{display:block}}}}"""


def framed(page_html: str, title: str, height: int = 640, otherwise: str = "") -> str:
    """HTML for a notebook: a page in a sandboxed frame.

    Args:
        page_html: A whole page with a `<head>`, which loads nothing.
        title: What the frame holds, for screen readers; plain text.
        height: Height of the frame in CSS pixels, until its reader drags its corner. Longer pages scroll in it.
        otherwise: HTML without script that says the same, for where there are no frames, and for paper.
    """
    # Links to places of the page would lead to the notebook's address, which is the base of a frame without one.
    page_html = page_html.replace("<head>", '<head><base href="about:srcdoc">', 1)
    page_html = page_html.replace("&", "&amp;").replace("'", "&#39;")  # few of these, many of "
    otherwise = f'<div class="ce-otherwise">{otherwise}</div>' if otherwise else ""
    return (
        f'<div class="ce-frame"><style>{_STYLE.format(height=height)}</style><div class="ce-h{height}">'
        f'<iframe sandbox="allow-scripts" title="{html.escape(title)}" srcdoc=\'{page_html}\'></iframe></div>'
        f"{otherwise}</div>"
    )
