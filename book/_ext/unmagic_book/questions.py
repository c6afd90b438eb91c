"""```{question} Why …? ⏎ answer: the answer unfolds, by mouse, keyboard and without scripts (<details>)."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective


class question(nodes.General, nodes.Element):
    pass


class question_text(nodes.Part, nodes.TextElement):
    pass


class QuestionDirective(SphinxDirective):
    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        if not "".join(self.content).strip():
            raise self.error(f"question without an answer: {self.arguments[0]!r}; write the answer below it")
        node = question()
        self.set_source_info(node)
        asked, messages = self.parse_inline(self.arguments[0], lineno=self.lineno)
        node += question_text("", "", *asked)
        node += self.parse_content_to_nodes()
        return [node, *messages]


def setup(app):
    app.add_node(
        question,
        html=(
            lambda self, node: self.body.append('<details class="unmagic-question">'),
            lambda self, node: self.body.append("</div></details>\n"),
        ),
    )
    app.add_node(
        question_text,
        html=(
            lambda self, node: self.body.append("<summary>"),
            lambda self, node: self.body.append('</summary>\n<div class="unmagic-answer">'),
        ),
    )
    app.add_directive("question", QuestionDirective)
