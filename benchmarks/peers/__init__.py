"""What Rolebook is measured beside. Each module runs in a process of its own, on asyncio where it must."""
