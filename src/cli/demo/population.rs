//! A manufacturer and two devices with birth certificates.

use std::path::{Path, PathBuf};

use crate::ca::ceremony::{self, DeviceIdentity};
use crate::ca::{CertificateAuthority, Signer as _};
use crate::cli::{CliError, files, folder};
use crate::clock::{Clock as _, SystemClock};

/// How long a manufacturer's CA is valid.
const MANUFACTURER_YEARS: i64 = 30;

/// A device's folder.
pub(super) struct Device {
    folder: PathBuf,
    name: &'static str,
}

impl Device {
    /// The one that the demo enrolls.
    pub(super) fn first(demo: &Path) -> Self {
        Self::named(demo, "device-0001")
    }

    /// The one that is left to be enrolled by hand.
    pub(super) fn second(demo: &Path) -> Self {
        Self::named(demo, "device-0002")
    }

    fn named(demo: &Path, name: &'static str) -> Self {
        Self { folder: demo.join("devices").join(name), name }
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn birth(&self) -> PathBuf {
        self.folder.join("birth.pem")
    }

    pub(super) fn birth_key(&self) -> PathBuf {
        self.folder.join("birth.key")
    }

    pub(super) fn operational(&self) -> PathBuf {
        self.folder.join("operational.pem")
    }

    pub(super) fn operational_key(&self) -> PathBuf {
        self.folder.join("operational.key")
    }

    pub(super) fn request(&self) -> PathBuf {
        self.folder.join("request.b64")
    }

    fn make(&self, manufacturer: &CertificateAuthority) -> Result<(), CliError> {
        files::folder(&self.folder)?;
        let key = files::new_key(&self.birth_key())?;
        let birth = ceremony::birth_certificate(
            manufacturer,
            DeviceIdentity { serial_number: self.name, hardware_module_name: None },
            key.public_key(),
            SystemClock.now(),
            &folder::serial()?,
        )?;
        files::certificates(&self.birth(), &[&birth])
    }
}

/// Makes the manufacturer's CA (its certificate where the server looks for it, its key where it does not) and devices.
pub(super) fn make(demo: &Path, manufacturers: &Path) -> Result<(), CliError> {
    let keys = demo.join("manufacturer");
    files::folder(&keys)?;
    let manufacturer = folder::self_signed(
        "Demo Manufacturer CA",
        MANUFACTURER_YEARS,
        &manufacturers.join("demo-manufacturer.pem"),
        &keys.join("ca.key"),
    )?;
    for device in [Device::first(demo), Device::second(demo)] {
        device.make(&manufacturer)?;
    }
    Ok(())
}
