"""A semaphore around a resource: python one_at_a_time.py

Green threads change places only where they wait, so most code needs no lock. It does need one
where it waits in the middle of something that must stay whole.
"""

from verdant import Semaphore, sleep, spawn


def main() -> None:
    """Take money from an account in ten green threads; the balance must not fall below zero."""
    semaphore = Semaphore(1)
    balance = 50

    def withdraw(amount: int) -> bool:
        nonlocal balance
        with semaphore:
            enough = balance >= amount
            sleep(0)  # asks the database, say: without the semaphore all ten would have enough
            if enough:
                balance -= amount
        return enough

    threads = [spawn(withdraw, 10) for _ in range(10)]
    print(f"{sum(thread.wait() for thread in threads)} of 10 were paid, {balance} is left")


if __name__ == "__main__":
    main()
