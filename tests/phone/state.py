"""What the phone says of itself: properties, clocks, temperatures, battery, screen."""

import os
import uuid

from tests.phone.userland import Userland

_LITTLE_KHZ, _BIG_KHZ, _LOWEST_KHZ = 1_804_800, 2_841_600, 300_000
_LOAD = 0.52

_BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: {charging}
  Wireless powered: false
  Dock powered: false
  Max charging current: {max_ua}
  Max charging voltage: 5000000
  Charge counter: {charge_uah}
  status: {status}
  health: 2
  present: true
  level: {percent}
  scale: 100
  voltage: 4231
  temperature: {tenths_c}
  technology: Li-ion
  Charging state: 0
  Charging policy: 0
"""

_THERMAL = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 2
	killed: false
	broadcasts count: -1
ThermalStatusListeners:
	callbacks: 3
	killed: false
	broadcasts count: -1
Thermal Status: {status}
Cached temperatures:
{temperatures}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 1  connected: yes
Current temperatures from HAL:
{temperatures}
Current cooling devices from HAL:
	CoolingDevice{{mValue=0, mType=2, mName=thermal-cpufreq-0}}
	CoolingDevice{{mValue=0, mType=3, mName=thermal-devfreq-0}}
Temperature static thresholds from HAL:
	TemperatureThreshold{{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 43.0, \
45.0, 46.5, 52.0, 55.0], mColdThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, NaN, NaN]}}
"""

_POWER = """POWER MANAGER (dumpsys power)

Power Manager State:
  Settings power_manager_constants:
    no_cached_wake_locks=true
  mDirty=0x0
  mWakefulness={wakefulness}
  mWakefulnessChanging=false
  mIsPowered={charging}
  mPlugType={plug}
  mBatteryLevel={percent}
  mDreamsBatteryLevelDrain=0
  mDockState=0
  mStayOn=false
  mProximityPositive=false
  mBootCompleted=true
  mSystemReady=true
  mHalAutoSuspendModeEnabled={asleep}
  mHalInteractiveModeEnabled={awake}
  mWakeLockSummary=0x0
  mUserActivitySummary=0x{activity}
  mLightDeviceIdleMode=false
  mDeviceIdleMode=false
  mScreenBrightnessDefault=0.39763778

Settings and Configuration:
  mWakeUpWhenPluggedOrUnpluggedConfig=true
  mScreenOffTimeoutSetting=30000
  mStayOnWhilePluggedInSetting=0

Sleep timeout: -1 ms
Screen off timeout: 30000 ms
Screen dim duration: 6000 ms

Wake Locks: size=0

Suspend Blockers: size=4
  PowerManagerService.WakeLocks: ref count=0
  PowerManagerService.Display: ref count={activity}
  PowerManagerService.Broadcasts: ref count=0
  PowerManagerService.WirelessChargerDetector: ref count=0

Display Power: state={display}
"""


class State:
    """Keeps the files and texts in which the phone says how it is.

    Every change is there for the next command at once, and never half of it.
    """

    def __init__(self, userland: Userland, properties: dict[str, str]) -> None:
        self._userland = userland
        self._properties = properties
        self._percent, self._temperature_c, self._charging = 87, 27.1, True
        self._thermal_status = 0
        self._screen_on = True
        self._zones: dict[str, float] = {}
        n_cores = os.cpu_count() or 1
        self._big = list(range(n_cores // 2, n_cores))
        self._little = list(range(n_cores // 2))

    def write_all(self) -> None:
        """Write every file."""
        n_cores = len(self._little) + len(self._big)
        cores = "0" if n_cores == 1 else f"0-{n_cores - 1}"
        for name in ("possible", "present", "online"):
            self._userland.write(f"/sys/devices/system/cpu/{name}", cores + "\n")
        for cluster, khz in ((self._little, _LITTLE_KHZ), (self._big, _BIG_KHZ)):
            for core in cluster:
                self._write_core(core, "cpuinfo_max_freq", khz)
                self._write_core(core, "cpuinfo_min_freq", _LOWEST_KHZ)
                self._write_core(core, "scaling_min_freq", _LOWEST_KHZ)
                self._write_core(core, "scaling_governor", "schedutil")
                self._write_core(core, "related_cpus", " ".join(map(str, cluster)))
                self._set_clock(core, khz)
        zones = {"cpu-0-0-usr": 41.3, "cpu-1-0-usr": 43.0, "gpu-usr": 39.6, "skin-therm": 33.2}
        for name, celsius in zones.items():
            self.set_zone(name, celsius)
        self.set_battery()
        self.set_load(_LOAD)
        self._write_properties()
        self.new_boot()

    def new_boot(self) -> None:
        """Another boot: another id of it."""
        self._userland.overwrite("/system/etc/phone/boot_id", f"{uuid.uuid4()}\n")

    def set_load(self, load: float) -> None:
        """What ``/proc/loadavg`` says; this computer's own load is not the phone's."""
        # Always of one length: what is written in place must not leave an end of the old text.
        text = f"{load:.2f} {load:.2f} {load:.2f} 1/467 12345"
        self._userland.overwrite("/system/etc/phone/loadavg", f"{text:<60}\n")

    def property(self, name: str) -> str:
        """A property's value; empty if it is not set."""
        return self._properties.get(name, "")

    def set_property(self, name: str, value: str) -> None:
        """What ``getprop`` says."""
        self._properties[name] = value
        self._write_properties()

    def set_battery(
        self,
        *,
        percent: int | None = None,
        temperature_c: float | None = None,
        charging: bool | None = None,
    ) -> None:
        """What ``dumpsys battery`` says, and a thermal zone; what is not given stays."""
        if percent is not None:
            self._percent = percent
        if temperature_c is not None:
            self._temperature_c = temperature_c
        if charging is not None:
            self._charging = charging
        text = _BATTERY.format(
            charging=str(self._charging).lower(),
            max_ua=500_000 if self._charging else 0,
            charge_uah=38_000 * self._percent,
            status=2 if self._charging else 3,
            percent=self._percent,
            tenths_c=round(10 * self._temperature_c),
        )
        self._userland.write("/system/etc/phone/dumpsys/battery", text)
        self.set_zone("battery", self._temperature_c)
        self._write_power()

    def set_thermal_status(self, status: int) -> None:
        """What ``dumpsys thermalservice`` says: 0 (none) to 6 (shutdown)."""
        self._thermal_status = status
        self._write_thermal()

    def set_zone(self, name: str, celsius: float) -> None:
        """A thermal zone's temperature; a zone of a new name is one more zone."""
        self._zones[name] = celsius
        zone = f"/sys/class/thermal/thermal_zone{list(self._zones).index(name)}"
        self._userland.write(f"{zone}/type", name + "\n")
        self._userland.write(f"{zone}/temp", f"{round(1000 * celsius)}\n")
        self._write_thermal()

    def set_max_clock(self, khz: int | None) -> None:
        """Cap the big cores' clock; ``None`` ends it."""
        for core in self._big:
            self._set_clock(core, _BIG_KHZ if khz is None else khz)

    def set_screen(self, on: bool) -> None:
        """What ``dumpsys power`` says."""
        self._screen_on = on
        self._write_power()

    def _set_clock(self, core: int, khz: int) -> None:
        self._write_core(core, "scaling_max_freq", khz)
        self._write_core(core, "scaling_cur_freq", khz)

    def _write_core(self, core: int, name: str, value: int | str) -> None:
        self._userland.write(f"/sys/devices/system/cpu/cpu{core}/cpufreq/{name}", f"{value}\n")

    def _write_properties(self) -> None:
        lines = [f"{name}={value}\n" for name, value in sorted(self._properties.items())]
        self._userland.write("/system/etc/phone/properties", "".join(lines))

    def _write_thermal(self) -> None:
        kinds = {"cpu": 0, "gpu": 1, "bat": 2, "ski": 3}
        lines = [
            f"\tTemperature{{mValue={celsius}, mType={kinds.get(name[:3], -1)}, mName={name}, "
            f"mStatus={self._thermal_status if name.startswith('skin') else 0}}}"
            for name, celsius in self._zones.items()
        ]
        text = _THERMAL.format(status=self._thermal_status, temperatures="\n".join(lines))
        self._userland.write("/system/etc/phone/dumpsys/thermalservice", text)

    def _write_power(self) -> None:
        text = _POWER.format(
            wakefulness="Awake" if self._screen_on else "Asleep",
            awake=str(self._screen_on).lower(),
            asleep=str(not self._screen_on).lower(),
            activity=int(self._screen_on),
            display="ON" if self._screen_on else "OFF",
            charging=str(self._charging).lower(),
            plug=2 if self._charging else 0,
            percent=self._percent,
        )
        self._userland.write("/system/etc/phone/dumpsys/power", text)
