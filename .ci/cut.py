"""Cut a piece out of api.py: the sections that are named, and what they need.

    python .ci/cut.py Films > films.py
    python .ci/cut.py Films Courses --lists --database > mine.py
    python .ci/cut.py --table

writes a file that runs by itself and holds nothing that it does not use. --lists,
--database, --cors, --proxy, --access-log and --connections keep these rooms as well;
without --lists, a list is answered as a whole. --table prints how long each section's
piece is, and which packages it needs, as the rows of README.md's table.

Nothing in api.py is marked for this, apart from the banners. A piece has these
statements of api.py:

- all of the sections that are named
- what every piece has: routes and hooks of the rooms that are no section, and the start
- what these name, and what that names
- a statement that gives nothing a name, such as a check of a setting, if something of
  its room is there, all that it names of other rooms, and each path that it prints
- a plugin, if a route asks for it, and a route that makes tokens, if a route takes them

and of the classes only the methods that something calls.
"""
import ast
import itertools
import re
import symtable
import sys
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
SECTIONS = ['Hello', 'Weekend API', 'Films', 'Records', 'Users', 'Courses', 'Docs']
COLLECTIONS = 'Collections'
LISTS = 'Lists'
DATABASE = 'Database'
PROXY = 'Proxy'
# Rooms that a piece has only if it is asked to keep them, with what --help says.
KEEP = {
    LISTS: 'answer lists in pages, sorted and searched',
    DATABASE: 'keep the data in SQLite or PostgreSQL',
    'CORS': 'let pages of other origins in',
    PROXY: 'stand behind a proxy, such as nginx',
    'Access log': 'log each request',
    'Connections': 'withstand clients that are hostile, or thousands',
}
DATABASE_PACKAGES = ['sqlalchemy', 'psycopg']
# Packages whose modules have another name.
MODULES = {'pyjwt': 'jwt', 'swagger-ui-bundle-v2': 'swagger_ui_bundle'}
# What the room Lists is in a piece that does not keep it.
WHOLE_LISTS = '''
def list_page(collection, rules, show=None):
    """Return all pairs of key and item, as shown; raise 400 for a query."""
    if request.query_string:
        raise ApiError(400, 'This list takes no query')
    if show is None:
        return collection.page()
    return [(key, show(key, item)) for key, item in collection.page()]
'''
# What the errors of other rooms say of a room that a piece does not keep.
MENTIONS = {
    'CORS': ', and of CORS_ORIGIN,',
    PROXY: ' or TRUSTED_PROXY (a proxy in front)',
}
# Where a piece takes tokens and no route of it makes any, this one comes along.
TAKES_TOKENS = 'bearer'
MAKES_TOKENS = 'make_token'
TOKEN_ROUTE = 'post_token'


class Part(NamedTuple):
    """A statement of api.py with the comments above it."""

    room: str  # '' before the first banner
    node: ast.stmt
    comments: list  # lines, some of them perhaps empty
    lines: list
    blank: int  # how many empty lines stand before it
    defined: frozenset  # the names that it gives to something
    used: frozenset  # the names of the module that it uses


# --- Reading api.py -------------------------------------------------------------------


def with_whole_lists(text):
    """Return the text of api.py with WHOLE_LISTS as its room Lists."""
    text = text.replace('pages, sorting and searching', 'all items of a collection   ')
    banner = r'(?m)^# --- {} -+\n'
    start = re.search(banner.format(LISTS), text).end()
    end = re.compile(banner.format('.+?')).search(text, start).start()
    return f'{text[:start]}\n{WHOLE_LISTS}\n\n{text[end:]}'


def without_mentions(text, kept):
    """Return the text of api.py without the MENTIONS of rooms that are not kept."""
    for room, mention in MENTIONS.items():
        if room not in kept:
            assert text.count(mention) == 1, f'{room}: {mention}'
            text = text.replace(mention, '')
    return text


def read_parts(text):
    """Return the parts of a module, and the banner of each room by its name."""
    lines = text.splitlines()
    tree = ast.parse(text)
    names = set()
    for node in tree.body:
        names |= find_names(node)[0]
    parts = []
    banners = {}
    room = ''
    end = 0
    for node in tree.body:
        decorators = getattr(node, 'decorator_list', [])
        start = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        above = lines[end:start]
        for number, line in enumerate(above):
            banner = re.match(r'# --- (.+?) -+$', line)
            if banner:
                room = banner[1]
                banners[room] = line
                above = above[number + 1 :]
                break
        blank = 0
        while blank < len(above) and not above[blank]:
            blank += 1
        comments = above[blank:]
        if end == 0:
            comments = []  # the script metadata; write() has them
        defined, used = find_names(node)
        part = Part(
            room=room,
            node=node,
            comments=comments,
            lines=lines[start : node.end_lineno],
            blank=blank,
            defined=frozenset(defined),
            used=frozenset(used & names),
        )
        parts.append(part)
        end = node.end_lineno
    return parts, banners


def find_names(node):
    """Return the names that a statement gives, and the names of the module it uses."""
    table = symtable.symtable(ast.unparse(node), 'api.py', 'exec')
    defined = set()
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported():
            defined.add(symbol.get_name())
    return defined, find_used(table)


def find_used(table):
    """Return the names of the module that a scope uses, with the scopes inside it."""
    used = set()
    for symbol in table.get_symbols():
        is_global = table.get_type() == 'module' or symbol.is_global()
        if is_global and symbol.is_referenced():
            used.add(symbol.get_name())
    for inner in table.get_children():
        used |= find_used(inner)
    return used


def is_import(node):
    """Tell whether a statement only imports, be it inside "try"."""
    if isinstance(node, ast.Try):
        return all(is_import(inner) for inner in node.body)
    return isinstance(node, (ast.Import, ast.ImportFrom))


def is_start(part):
    """Tell whether a statement is for the program, and not for who imports it."""
    node = part.node
    return isinstance(node, ast.If) and '__name__' in ast.unparse(node.test)


def is_registered(part):
    """Tell whether a function is a route or a hook."""
    for decorator in getattr(part.node, 'decorator_list', []):
        if ast.unparse(decorator).startswith('app.'):
            return True
    return False


def find_paths(parts):
    """Return the paths of the routes among these parts."""
    paths = set()
    for part in parts:
        for decorator in getattr(part.node, 'decorator_list', []):
            for node in ast.walk(decorator):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    paths.add(node.value)
    return paths


def find_plugin(part, parts):
    """Return the name of the plugin that a statement installs, or None."""
    if not ast.unparse(part.node).startswith('app.install('):
        return None
    for other in parts:
        if isinstance(other.node, ast.ClassDef) and other.node.name in part.used:
            for node in other.node.body:
                if isinstance(node, ast.Assign) and node.targets[0].id == 'name':
                    return node.value.value
    return None


def has_keyword(parts, name):
    """Tell whether a route among these parts has this option."""
    for part in parts:
        for decorator in getattr(part.node, 'decorator_list', []):
            for keyword in getattr(decorator, 'keywords', []):
                if keyword.arg == name:
                    return True
    return False


# --- Choosing -------------------------------------------------------------------------


class Piece:
    """The parts of api.py that some of its sections need."""

    def __init__(self, parts, sections, kept=()):
        self.parts = parts
        self.sections = sections
        self.rooms = {*sections, *kept}
        self.left_out = set(KEEP) - {LISTS, *kept}  # there are always some lists
        self.chosen = []
        for part in parts:
            if not is_import(part.node) and self.is_wanted(part):
                self.choose(part)
        if not self.makes_tokens() and TAKES_TOKENS in self.names():
            self.choose(self.find_part(TOKEN_ROUTE))
        while found := [part for part in parts if self.follows(part)]:
            for part in found:
                self.choose(part)
        self.chosen.sort(key=parts.index)

    def is_wanted(self, part):
        """Tell whether a part is in the piece whatever else is in it."""
        if part.room in self.rooms or part is self.parts[0] or is_start(part):
            return True
        return part.room not in [*SECTIONS, *KEEP] and is_registered(part)

    def choose(self, part):
        """Take a part, and the parts that define what it names."""
        if part in self.chosen:
            return
        self.chosen.append(part)
        for other in self.parts:
            if other.room in self.left_out:
                continue
            if other.defined & part.used and not is_import(other.node):
                self.choose(other)

    def find_part(self, name):
        """Return the part that defines a name."""
        return next(part for part in self.parts if name in part.defined)

    def names(self):
        """Return the names that the piece uses."""
        return {name for part in self.chosen for name in part.used}

    def makes_tokens(self):
        """Tell whether a route of the piece makes tokens."""
        return any(
            is_registered(part) and MAKES_TOKENS in part.used for part in self.chosen
        )

    def follows(self, part):
        """Tell whether a part that nothing names belongs to what is in the piece."""
        if part in self.chosen or is_import(part.node) or part.room in KEEP:
            return False
        if isinstance(part.node, (ast.FunctionDef, ast.ClassDef)):
            return False
        if any(part.defined & other.used for other in self.parts):
            return False
        plugin = find_plugin(part, self.parts)
        if plugin:
            return has_keyword(self.chosen, plugin)
        if not any(other.room == part.room for other in self.chosen):
            return False
        paths = re.findall(r'\{url\}+(/[\w/.-]*)', '\n'.join(part.lines))
        if not find_paths(self.chosen).issuperset(paths):
            return False
        return all(self.has_anyway(name, part.room) for name in part.used)

    def has_anyway(self, name, room):
        """Tell whether a name is in the piece, or this room needs no more for it."""
        part = self.find_part(name)
        if part in self.chosen or is_import(part.node):
            return True
        if part.room != room:
            return False
        return all(self.has_anyway(one, room) for one in part.used - part.defined)

    # --- Writing ---

    @staticmethod
    def settings_in(parts):
        """Return the names of the settings that some parts read."""
        text = '\n'.join(line for part in parts for line in part.lines)
        return set(re.findall(r"\b(?:number_)?setting\('(\w+)'", text))

    def files(self):
        """Return the names of the files that the piece reads in its own folder."""
        found = []
        for part in self.chosen:
            text = '\n'.join(part.lines)
            found += re.findall(r"__file__\)\.with_name\('(.+?)'\)", text)
        return found

    def packages(self, metadata):
        """Return the packages that the piece imports, with their versions."""
        imported = set()
        for part in self.chosen_imports():
            for node in ast.walk(part.node):
                for alias in kept_aliases(node, self.names()):
                    module = getattr(node, 'module', None) or alias.name
                    imported.add(module.partition('.')[0])
        found = []
        for package in re.findall(r'#     "(.+?)"', metadata):
            name = name_of(package)
            if MODULES.get(name, name) in imported:
                found.append(package)
        if DATABASE in self.rooms:
            pins = (PROJECT / '.ci/requirements.txt').read_text().splitlines()
            for package in pins:
                if name_of(package) in DATABASE_PACKAGES:
                    found.append(package)
        return found

    def chosen_imports(self):
        """Return the imports of which the piece uses something."""
        names = self.names()
        return [
            part
            for part in self.parts
            if is_import(part.node) and part.defined & names
        ]


def name_of(package):
    """Return the name of a package, without its version."""
    return re.match(r'[\w-]+', package)[0]


def kept_aliases(node, names):
    """Return the parts of an import statement whose names are used."""
    if not isinstance(node, (ast.Import, ast.ImportFrom)):
        return []
    return [alias for alias in node.names if (alias.asname or alias.name) in names]


def write(piece, metadata, banners):
    """Return the text of a piece."""
    packages = piece.packages(metadata)
    listed = ''.join(f'#     "{package}",\n' for package in packages)
    head = re.sub(r'(#     ".+",\n)+', lambda found: listed, metadata)
    head = head.replace('; pip reads requirements.txt', '')
    lines = [*head.splitlines(), *write_docstring(piece).splitlines()]
    names = piece.names()
    kept = [*piece.chosen[1:], *piece.chosen_imports()]
    room = ''
    blank = 0
    for part in piece.parts[1:]:
        if part.room != room:
            room = part.room
            blank = 0
            if any(one.room == room for one in kept):
                # PEP 8 wants two empty lines behind a function.
                is_behind_function = lines[-1].startswith(' ')
                lines += [''] * (2 if is_behind_function else 1)
                lines.append(banners[room])
        blank = max(blank, part.blank)
        if part not in kept:
            continue
        lines += [''] * blank
        lines += part.comments
        if is_import(part.node):
            lines += write_imports(part, names, packages)
        else:
            lines += part.lines
        blank = 0
    return '\n'.join(lines) + '\n'


def write_imports(part, names, packages):
    """Return the lines of a statement that imports, without the names not in names."""
    dropped = set()
    changed = {}
    first = part.node.lineno
    for node in ast.walk(part.node):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        aliases = kept_aliases(node, names)
        numbers = range(node.lineno - first, node.end_lineno - first + 1)
        dropped.update(numbers)
        if aliases:
            node.names = aliases
            changed[numbers[0]] = ' ' * node.col_offset + ast.unparse(node)
    lines = []
    for number, line in enumerate(part.lines):
        if number in changed:
            lines.append(changed[number])
        elif number not in dropped:
            install = ' '.join(package.partition('==')[0] for package in packages)
            lines.append(line.replace('-r requirements.txt', install))
    return lines


def write_docstring(piece):
    """Return the docstring of a piece: its rooms and settings alone are listed."""
    text = '\n'.join(piece.parts[0].lines)
    title = text.split('\n\n')[0]
    sections = ' and '.join(piece.sections)
    if len(piece.sections) > 2:
        sections = ', '.join(piece.sections[:-1]) + f' and {piece.sections[-1]}'
    text = text.replace(title, f'"""{sections}: a piece of the One-File API.', 1)
    file_name = '_'.join(piece.sections).lower().replace(' ', '_')
    text = text.replace('python api.py', f'python {file_name}.py')
    text = text.replace('api:app', f'{file_name}:app')
    rooms = {part.room for part in piece.chosen}
    absent = {part.room for part in piece.parts} - rooms
    absent |= piece.settings_in(piece.parts) - piece.settings_in(piece.chosen)
    text = re.sub(r'(?m)  copy$', '  your section', text)
    paragraphs = []
    for paragraph in text.split('\n\n'):
        if paragraph.startswith('    '):
            lines = []
            for line in paragraph.splitlines():
                name = re.split('  +', line.strip())[0]
                if name not in absent:
                    lines.append(line)
            paragraph = '\n'.join(lines)
        elif '.ci/cut.py' in paragraph:
            continue  # this piece has been cut
        elif absent.intersection(re.findall(r'[A-Z_]{4,}', paragraph)):
            continue
        paragraphs.append(paragraph)
    paragraphs[2:2] = write_notes(piece, rooms)
    text = '\n\n'.join(paragraphs)
    return text if text.endswith('"""') else text + '\n"""'


def write_notes(piece, rooms):
    """Return the paragraphs that only a piece has: what it needs, and what it lacks."""
    notes = []
    if piece.files():
        notes.append(f'It reads {" and ".join(piece.files())} in its own folder.')
    if COLLECTIONS in rooms and DATABASE not in rooms:
        notes.append('The data is kept in memory, and lost when the service ends.')
    if PROXY not in rooms:
        notes.append(
            'There is no TLS here. To stand behind a proxy that has it, this file '
            'needs the room\nProxy: cut it again with --proxy.'
        )
    return notes


def drop_methods(text):
    """Return the text of a piece without the methods that nothing calls."""
    tree = ast.parse(text)
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    lines = text.splitlines()
    dropped = set()
    for kind in tree.body:
        # Bottle may call a class without bases: a plugin.
        if not isinstance(kind, ast.ClassDef) or not kind.bases:
            continue
        for before, method in itertools.pairwise(kind.body):
            name = getattr(method, 'name', '__')
            if not name.startswith('__') and name not in called | inherited(kind, tree):
                dropped.update(range(before.end_lineno, method.end_lineno))
    if not dropped:
        return text
    kept = [line for number, line in enumerate(lines) if number not in dropped]
    # Again, as nothing else may call what these methods called.
    return drop_methods('\n'.join(kept) + '\n')


def inherited(kind, tree):
    """Return the methods of the bases of a class, or its own if they are not known."""
    names = set()
    for base in kind.bases:
        module = find_module(ast.unparse(base), tree)
        if module.partition('.')[0] not in sys.stdlib_module_names:
            return {node.name for node in kind.body if hasattr(node, 'name')}
        names.update(dir(getattr(import_module(module), ast.unparse(base))))
    return names


def find_module(name, tree):
    """Return the module from which a name is imported, or ''."""
    for node in tree.body:
        imported = node.names if isinstance(node, ast.ImportFrom) else []
        if name in [one.name for one in imported]:
            return node.module
    return ''


# --- Command line ---------------------------------------------------------------------


def cut(sections, kept=()):
    """Return the text of a piece with these sections, and the packages it needs.

    kept are rooms of KEEP.
    """
    text = (PROJECT / 'api.py').read_text()
    if LISTS not in kept:
        text = with_whole_lists(text)
    text = without_mentions(text, kept)
    metadata = text.partition('"""')[0]
    parts, banners = read_parts(text)
    piece = Piece(parts, sections, kept)
    text = drop_methods(write(piece, metadata, banners))
    return text, piece.packages(metadata)


def table_rows():
    """Return the rows of README.md's table: a section, its lines, its packages."""
    rows = []
    for section in SECTIONS:
        text, packages = cut([section])
        names = ', '.join(name_of(package) for package in packages)
        rows.append(f'| {section} | {len(text.splitlines())} | {names} |')
    return rows


def option_of(room):
    """Return the option that keeps a room."""
    return '--' + room.lower().replace(' ', '-')


def main():
    """Print a piece, or the table."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('section', nargs='*', help=', '.join(SECTIONS))
    for room, purpose in KEEP.items():
        parser.add_argument(
            option_of(room),
            dest='kept',
            action='append_const',
            const=room,
            default=[],
            help=purpose,
        )
    parser.add_argument('--table', action='store_true', help='print the table')
    given = parser.parse_args()
    for section in given.section:
        if section not in SECTIONS:
            sys.exit(f'{section} is no section; there are {", ".join(SECTIONS)}')
    if given.table:
        print('\n'.join(table_rows()))
    elif given.section:
        sections = [one for one in SECTIONS if one in given.section]
        print(cut(sections, given.kept)[0], end='')
    else:
        parser.error(f'name one or more of {", ".join(SECTIONS)}, or --table')


if __name__ == '__main__':
    main()
