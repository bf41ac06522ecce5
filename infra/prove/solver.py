"""Runs cvc5 as a process that reads SMT-LIB 2 and answers. The Python package `cvc5` contains no such executable.

The parser and the solver are the package's, which is cvc5 itself. This is only the loop around them that the executable has in
C++: it runs one command at a time, and creates a new solver after `(reset)`.

    python solver.py --version
    python solver.py --lang smt [--option=value]...
"""

import sys

import cvc5


class Session:
    """A solver, and its declared symbols."""

    def __init__(self, options):
        self.options = options
        terms = cvc5.TermManager()
        self.solver = cvc5.Solver(terms)
        for option in options:
            name, _, value = option.removeprefix("--").partition("=")
            self.solver.setOption(name, value)
        self.symbols = cvc5.SymbolManager(terms)

    def run(self, text):
        """Runs the commands and prints their answers. Returns the session for the next ones."""
        parser = cvc5.InputParser(self.solver, self.symbols)
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "stdin")
        while not (command := parser.nextCommand()).isNull():
            if command.getCommandName() == "reset":
                return Session(self.options)
            sys.stdout.write(command.invoke(self.solver, self.symbols))
            sys.stdout.flush()
        return self


def complete(text):
    """Whether every command is complete: counts brackets outside of strings, quoted symbols and comments."""
    depth, inside = 0, None
    for character in text:
        if inside:
            inside = None if character == inside else inside
        elif character in '"|':
            inside = character
        elif character == ";":
            inside = "\n"
        else:
            depth += (character == "(") - (character == ")")
    return depth == 0 and inside is None


def main(arguments):
    if arguments == ["--version"]:
        print("This is cvc5 version " + cvc5.Solver(cvc5.TermManager()).getVersion().decode())
        return
    if arguments[:2] != ["--lang", "smt"]:
        sys.exit(__doc__)
    session, text = Session(arguments[2:]), ""
    for line in iter(sys.stdin.readline, ""):
        text += line
        if complete(text):
            session, text = session.run(text), ""


main(sys.argv[1:])
