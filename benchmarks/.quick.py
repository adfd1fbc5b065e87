import asyncio, time, sys, statistics, trio, psycopg
from understudy.runtime.postgres import Connection

url = sys.argv[1]


async def work(conn, n):
    t = time.perf_counter()
    for _ in range(n):
        await conn.execute("SELECT 1", prepare=True)
    return (time.perf_counter() - t) / n * 1e6


async def t():
    c = await Connection.connect(url, autocommit=True)
    await work(c, 100)
    r = await work(c, 3000)
    await c.close()
    return r


async def a():
    c = await psycopg.AsyncConnection.connect(url, autocommit=True)
    await work(c, 100)
    r = await work(c, 3000)
    await c.close()
    return r


for _ in range(4):
    x = trio.run(t)
    y = asyncio.run(a())
    print(round(x, 1), round(y, 1), round(x / y, 3))
