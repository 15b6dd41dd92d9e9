"""Use the client that openapi-python-client makes: python_client.py URL"""
import importlib
import pkgutil
import sys

import client
from client import AuthenticatedClient, Client
from client.api.courses import create_course
from client.api.films import list_films
from client.api.weekend_api import create_token
from client.models import Account, Course, ListFilmsFilmSort, TokenAnswer, TokenError

url = sys.argv[1]


def import_all():
    """Import each module of the client: some faults show no earlier."""
    for module in pkgutil.walk_packages(client.__path__, 'client.'):
        importlib.import_module(module.name)


def list_by_year():
    """List the films, the newest first, and those of a year by name."""
    sort = [ListFilmsFilmSort('-Year'), ListFilmsFilmSort.NAME]
    films = list_films.sync(client=Client(base_url=url), sort=sort)
    names = [film.name for film in films.additional_properties.values()]
    assert names == ['Ant Man and the Wasp', 'Avengers: Infinity War'], names


def sign_in(password):
    """Return the answer to a name and password."""
    account = Account(username='USERNAME', password=password)
    return create_token.sync(client=Client(base_url=url), body=account)


def add_course(token):
    """Add a course, and once more, which is an error."""
    signed_in = AuthenticatedClient(base_url=url, token=token)
    course = Course(code='PYTHON', name='Clients', instructor='Ada Lovelace')
    answer = create_course.sync_detailed(client=signed_in, body=course)
    assert answer.status_code == 201, answer
    assert answer.headers['Location'] == '/courses/PYTHON', answer
    again = create_course.sync(client=signed_in, body=course)
    assert again.error == 'This course code is in use', again


import_all()
list_by_year()
refused = sign_in('wrong')
assert isinstance(refused, TokenError), refused
assert refused.error == 'invalid_grant', refused
answer = sign_in('PASSWORD')
assert isinstance(answer, TokenAnswer), answer
add_course(answer.access_token)
