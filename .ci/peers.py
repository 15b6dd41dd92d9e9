"""The routes that bench.py measures, as other frameworks write them.

They are GET /films/1, GET /films, GET /courses with a token, and PUT /courses/CODE with
a token and the fields checked. Each framework's own documentation is followed.

    SECRET_KEY=... PORT=... python .ci/peers.py NAME

serves "bare" or "falcon" on waitress exactly as api.py sets waitress up.
"""
import json
import os
import sys

import jwt

FILMS = {
    '1': {'Name': 'Avengers: Infinity War', 'Year': 2018, 'Month': 'March'},
    '2': {'Name': 'Ant Man and the Wasp', 'Year': 2018, 'Month': 'August'},
}
COURSES = {
    'CSE465': {
        'code': 'CSE465',
        'name': 'Introduction to neural network',
        'instructor': 'Andrew Ng',
    },
    'CSE115': {
        'code': 'CSE115',
        'name': 'Introduction to programming language',
        'instructor': 'John stuart',
    },
}


# --- What the routes share ------------------------------------------------------------


def is_signed(token):
    """Tell whether a token is one that we signed and that has not ended."""
    options = {'require': ['exp', 'sub']}
    try:
        jwt.decode(token, os.environ['SECRET_KEY'], ['HS256'], options=options)
    except jwt.InvalidTokenError:
        return False
    return True


def is_signed_in(header):
    """Tell whether an Authorization header has a good token."""
    return is_signed((header or '').removeprefix('Bearer '))


def is_text(value):
    """Tell whether a field of a course is right."""
    return isinstance(value, str) and 1 <= len(value) <= 120


def is_course(sent):
    """Tell whether the fields of a course are right."""
    if not isinstance(sent, dict):
        return False
    return is_text(sent.get('name')) and is_text(sent.get('instructor'))


def change_course(code, sent):
    """Store the name and the instructor of a course."""
    changes = {'name': sent['name'], 'instructor': sent['instructor']}
    COURSES[code] = {**COURSES[code], **changes}


# --- Without a framework --------------------------------------------------------------


def bare(environ, start_response):
    """Answer GET /films/1 only: the limit of what the server can do."""
    body = json.dumps(FILMS['1']).encode()
    headers = [
        ('Content-Type', 'application/json'),
        ('Content-Length', str(len(body))),
    ]
    start_response('200 OK', headers)
    return [body]


# --- Falcon ---------------------------------------------------------------------------


def falcon_app():
    """Return the routes in Falcon."""
    import falcon

    def sign_in(request, response, resource, params):
        """Raise 401 without a good token, as a hook before a method."""
        if not is_signed_in(request.get_header('Authorization')):
            raise falcon.HTTPUnauthorized

    class Film:
        def on_get(self, request, response, film_id):
            if film_id not in FILMS:
                raise falcon.HTTPNotFound
            response.media = FILMS[film_id]

    class Films:
        def on_get(self, request, response):
            response.media = FILMS

    class Courses:
        @falcon.before(sign_in)
        def on_get(self, request, response):
            response.media = {'courses': list(COURSES.values())}

    class Course:
        @falcon.before(sign_in)
        def on_put(self, request, response, code):
            if code not in COURSES:
                raise falcon.HTTPNotFound
            sent = request.get_media()
            if not is_course(sent):
                raise falcon.HTTPBadRequest
            change_course(code, sent)
            response.status = falcon.HTTP_204
            response.location = f'/courses/{code}'

    app = falcon.App()
    app.add_route('/films/{film_id}', Film())
    app.add_route('/films', Films())
    app.add_route('/courses', Courses())
    app.add_route('/courses/{code}', Course())
    return app


# --- Flask ----------------------------------------------------------------------------


def flask_app():
    """Return the routes in Flask."""
    from flask import Flask, abort, request

    app = Flask('peers')

    def sign_in():
        """Raise 401 without a good token."""
        if not is_signed_in(request.headers.get('Authorization')):
            abort(401)

    @app.get('/films/<film_id>')
    def get_film(film_id):
        if film_id not in FILMS:
            abort(404)
        return FILMS[film_id]

    @app.get('/films')
    def list_films():
        return FILMS

    @app.get('/courses')
    def list_courses():
        sign_in()
        return {'courses': list(COURSES.values())}

    @app.put('/courses/<code>')
    def put_course(code):
        sign_in()
        if code not in COURSES:
            abort(404)
        sent = request.get_json()
        if not is_course(sent):
            abort(400)
        change_course(code, sent)
        return '', 204, {'Location': f'/courses/{code}'}

    return app


# --- FastAPI --------------------------------------------------------------------------


def fastapi_app():
    """Return the routes in FastAPI.

    All functions are async, as those that would run in threads are slower. What comes
    back is declared, as its documentation says that this is the faster way to JSON.
    """
    from typing import Annotated

    from fastapi import Depends, FastAPI, HTTPException, Response
    from fastapi.security import OAuth2PasswordBearer
    from pydantic import BaseModel, Field

    app = FastAPI()
    bearer = OAuth2PasswordBearer('token')

    class Film(BaseModel):
        Name: str
        Year: int
        Month: str

    class Course(BaseModel):
        code: str
        name: str
        instructor: str

    class CourseList(BaseModel):
        courses: list[Course]

    class CourseChange(BaseModel):
        name: str = Field(min_length=1, max_length=120)
        instructor: str = Field(min_length=1, max_length=120)

    async def sign_in(token: Annotated[str, Depends(bearer)]):
        if not is_signed(token):
            raise HTTPException(401)

    @app.get('/films/{film_id}')
    async def get_film(film_id: str) -> Film:
        if film_id not in FILMS:
            raise HTTPException(404)
        return FILMS[film_id]

    @app.get('/films')
    async def list_films() -> dict[str, Film]:
        return FILMS

    @app.get('/courses', dependencies=[Depends(sign_in)])
    async def list_courses() -> CourseList:
        return {'courses': list(COURSES.values())}

    @app.put('/courses/{code}', status_code=204, dependencies=[Depends(sign_in)])
    async def put_course(code: str, sent: CourseChange, response: Response):
        if code not in COURSES:
            raise HTTPException(404)
        change_course(code, sent.model_dump())
        response.headers['Location'] = f'/courses/{code}'

    return app


# --- FastAPI with SQLAlchemy ----------------------------------------------------------


def fastapi_sql_app():
    """Return the routes in FastAPI with SQLAlchemy, on the SQLite of DATABASE_URL.

    The functions are not async, because SQLAlchemy's session waits. SQLite is in the
    mode that api.py sets too, in which readers and writers don't wait for each other.
    """
    from typing import Annotated

    from fastapi import Depends, FastAPI, HTTPException, Response
    from fastapi.security import OAuth2PasswordBearer
    from pydantic import BaseModel, Field
    from sqlalchemy import create_engine, select
    from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

    app = FastAPI()
    bearer = OAuth2PasswordBearer('token')
    options = {'check_same_thread': False}
    engine = create_engine(os.environ['DATABASE_URL'], connect_args=options)

    class Base(DeclarativeBase):
        pass

    class Film(Base):
        __tablename__ = 'films'
        id: Mapped[str] = mapped_column(primary_key=True)
        name: Mapped[str]
        year: Mapped[int]
        month: Mapped[str]

        def as_dict(self):
            return {'Name': self.name, 'Year': self.year, 'Month': self.month}

    class Course(Base):
        __tablename__ = 'courses'
        code: Mapped[str] = mapped_column(primary_key=True)
        name: Mapped[str]
        instructor: Mapped[str]

        def as_dict(self):
            return {
                'code': self.code,
                'name': self.name,
                'instructor': self.instructor,
            }

    class CourseChange(BaseModel):
        name: str = Field(min_length=1, max_length=120)
        instructor: str = Field(min_length=1, max_length=120)

    def open_session():
        with Session(engine) as session:
            yield session

    SessionNeeded = Annotated[Session, Depends(open_session)]

    async def sign_in(token: Annotated[str, Depends(bearer)]):
        if not is_signed(token):
            raise HTTPException(401)

    with engine.begin() as connection:
        connection.exec_driver_sql('PRAGMA journal_mode = WAL')
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for key, film in FILMS.items():
            fields = {name.lower(): value for name, value in film.items()}
            session.add(Film(id=key, **fields))
        for course in COURSES.values():
            session.add(Course(**course))
        session.commit()

    @app.get('/films/{film_id}')
    def get_film(film_id: str, session: SessionNeeded):
        film = session.get(Film, film_id)
        if film is None:
            raise HTTPException(404)
        return film.as_dict()

    @app.get('/films')
    def list_films(session: SessionNeeded):
        return {film.id: film.as_dict() for film in session.scalars(select(Film))}

    @app.get('/courses', dependencies=[Depends(sign_in)])
    def list_courses(session: SessionNeeded):
        courses = session.scalars(select(Course))
        return {'courses': [course.as_dict() for course in courses]}

    @app.put('/courses/{code}', status_code=204, dependencies=[Depends(sign_in)])
    def put_course(
        code: str, sent: CourseChange, response: Response, session: SessionNeeded
    ):
        course = session.get(Course, code)
        if course is None:
            raise HTTPException(404)
        course.name = sent.name
        course.instructor = sent.instructor
        session.commit()
        response.headers['Location'] = f'/courses/{code}'

    return app


def main():
    """Serve the function or the app of this name on the waitress of api.py."""
    import api

    name = sys.argv[1]
    peer = bare if name == 'bare' else falcon_app()
    api.middleware[:] = [lambda app: peer]
    api.main()


if __name__ == '__main__':
    main()
