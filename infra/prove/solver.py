"""cvc5 as a process that reads SMT-LIB 2 and answers, which the Python package `cvc5` does not bring along.

The parser and the solver are the package's, which is cvc5 itself; what is here is the loop around them that the executable
has in C++: a command at a time, and a new solver after `(reset)`.

    python solver.py --version
    python solver.py --lang smt [--option=value]...
"""

import sys

import cvc5


class Session:
    """A solver, and the symbols that were declared to it."""

    def __init__(self, options):
        self.options = options
        terms = cvc5.TermManager()
        self.solver = cvc5.Solver(terms)
        for option in options:
            name, _, value = option.removeprefix("--").partition("=")
            self.solver.setOption(name, value)
        self.symbols = cvc5.SymbolManager(terms)

    def run(self, text):
        """The session that goes on after these commands. Writes what they answer."""
        parser = cvc5.InputParser(self.solver, self.symbols)
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "stdin")
        while not (command := parser.nextCommand()).isNull():
            if command.getCommandName() == "reset":
                return Session(self.options)
            sys.stdout.write(command.invoke(self.solver, self.symbols))
            sys.stdout.flush()
        return self


def complete(text):
    """Whether no command is open at the end of it: brackets count outside of strings, quoted symbols and comments."""
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
